"""Weights inside a TorchScript archive, of which nothing is run."""
import pickle
import warnings
import zipfile

import pytest
import torch
from torch import nn

from mmseg.utils.convert import read_weights
from mmseg.utils.errors import CheckpointError
from mmseg.utils.torchscript import is_torchscript


class Network(nn.Module):

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.5))
        self.register_buffer('size', torch.tensor(224))
        self.register_buffer('nothing', torch.zeros(0, 3))
        self.linear = nn.Linear(2, 3).half()
        self.blocks = nn.ModuleList([nn.Linear(2, 4), nn.Linear(4, 2).bfloat16()])

    def forward(self, x):
        return self.blocks[0](x) * self.scale


@pytest.fixture
def program(tmp_path):
    network = Network()
    network.blocks[0].weight = nn.Parameter(torch.randn(2, 4).T)  # not in the order of memory
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        torch.jit.trace(network, torch.randn(5, 2)).save(tmp_path / 'network.pt')
    return network, tmp_path / 'network.pt'


def test_every_tensor_is_read(program):
    network, file = program
    assert is_torchscript(file)
    torch.testing.assert_close(read_weights(file), dict(network.state_dict()), rtol=0, atol=0)


def test_other_files_are_none(tmp_path):
    torch.save({'a': torch.ones(1)}, tmp_path / 'weights.pth')
    (tmp_path / 'text').write_text('no archive')
    assert not is_torchscript(tmp_path / 'weights.pth') and not is_torchscript(tmp_path / 'text')


class Harm:

    def __reduce__(self):
        return exec, ('raise SystemExit',)


@pytest.mark.parametrize('content', [pickle.dumps(Harm()), b'damaged'])
def test_what_is_no_weight_is_refused(tmp_path, content):
    with zipfile.ZipFile(tmp_path / 'bad.pt', 'w') as archive:
        archive.writestr('bad/constants.pkl', b'')
        archive.writestr('bad/data.pkl', content)
    with pytest.raises(CheckpointError, match='asks for builtins.exec' if b'exec' in content else 'cannot be read'):
        read_weights(tmp_path / 'bad.pt')
