"""Checkpoints of every age are read, nothing in them is run, and what does not fit is named."""
import argparse
import collections
import datetime
import http.server
import os
import pathlib
import pickle
import threading
from collections import OrderedDict

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.runner import CheckpointLoader, load_checkpoint
from torch import nn

from mmseg.utils.checkpoint import CheckpointError, load_weights, read_checkpoint, weights_of, write_checkpoint


class Network(nn.Module):

    def __init__(self, classes: int = 3, width: int = 4):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, width, 1), nn.BatchNorm2d(width))
        self.decode_head = nn.ModuleDict(dict(conv_seg=nn.Conv2d(width, classes, 1)))
        self.auxiliary_head = nn.ModuleDict(dict(conv_seg=nn.Conv2d(width, classes, 1)))


class Runs:
    """What an attacker pickles: loading it calls a function of the attacker's choice."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def save(content, path, old_format=False):
    torch.save(content, path, _use_new_zipfile_serialization=not old_format)
    return str(path)


def same_weights(state, network):
    return all(torch.equal(state[key], value) for key, value in network.state_dict().items())


ATTACKS = {
    'system': (Runs(os.system, 'touch {mark}'), 'posix.system'),
    'eval': (Runs(eval, 'open("{mark}", "w")'), 'eval'),
    'a path that writes': (Runs(pathlib.Path.touch, pathlib.PurePosixPath('{mark}')), 'pathlib.Path'),
    'a method by name': (Runs(getattr, HistoryBuffer, '__init__'), 'getattr'),
    'unpickling': (Runs(pickle.loads, pickle.dumps(Runs(os.system, 'touch {mark}'))), 'pickle.loads'),
    'a class of a script': (Network(), 'Network'),
}


def armed(content, mark):
    if isinstance(content, Runs):
        content.call = content.call[0], tuple(
            part.format(mark=mark) if isinstance(part, str) else part for part in content.call[1])
    return content


@pytest.mark.parametrize('old_format', [False, True], ids=['zip', 'old format'])
@pytest.mark.parametrize('name', ATTACKS)
def test_nothing_is_run(name, old_format, tmp_path):
    content, asked = ATTACKS[name]
    mark = tmp_path / 'it-ran'
    path = save(dict(state_dict={}, extra=armed(content, mark)), tmp_path / 'evil.pth', old_format)
    for load in (read_checkpoint, CheckpointLoader.load_checkpoint, lambda path: load_checkpoint(Network(), path)):
        with pytest.raises(CheckpointError, match=rf'evil\.pth is refused: it asks for .*{asked}.*Nothing of it'):
            load(path)
    assert not mark.exists()


def message_hub():
    hub = MessageHub('checkpoint test')
    hub.update_scalar('train/loss', 0.5)
    hub.update_scalar('train/lr', np.float64(0.01))
    hub.update_info('best_score', np.float32(0.75))
    hub.update_info('table', np.arange(6, dtype=np.int16).reshape(2, 3))
    hub.update_info('names', np.array(['road', 'sky']))
    return hub.state_dict()


def test_histories_and_numpy_values_come_back(tmp_path):
    path = save(dict(meta={}, message_hub=message_hub()), tmp_path / 'new.pth', old_format=True)
    content = pathlib.Path(path).read_bytes().replace(b'numpy._core.', b'numpy.core.')  # as NumPy 1 wrote it
    pathlib.Path(path).write_bytes(content)
    assert b'numpy.core.multiarray' in content and b'getattr' in content
    hub = read_checkpoint(path)['message_hub']
    history = hub['log_scalars']['train/loss']
    info = hub['runtime_info']
    assert history.current() == 0.5 and history.statistics('mean', 1) == 0.5
    assert info['best_score'] == np.float32(0.75) and info['table'].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert info['names'].tolist() == ['road', 'sky']


def test_plain_values_of_all_kinds_come_back(tmp_path):
    counts = collections.defaultdict(int, a=1)
    values = dict(config=ConfigDict(a=dict(b=1)), counts=counts, queue=collections.deque([1, 2], maxlen=3),
                  arguments=argparse.Namespace(lr=0.1), when=datetime.datetime(2020, 1, 2), labels={3, 4},
                  path=pathlib.Path('a', 'b'), size=torch.Size([1, 2]), dtype=torch.float16, whole=2**70,
                  complex=1j, CLASSES=('road', 'sky'), PALETTE=np.uint8([[1, 2, 3]]))
    read = read_checkpoint(save(dict(meta=values), tmp_path / 'values.pth'))['meta']
    assert read.pop('PALETTE').tolist() == [[1, 2, 3]]
    assert read.pop('queue') == [1, 2] and str(read.pop('path')) == os.path.join('a', 'b')
    assert read == {key: values[key] for key in read} and len(read) == 10


@pytest.mark.parametrize('layout', [
    lambda state: dict(state_dict=state, meta={}), lambda state: state, lambda state: dict(model=state, epoch=3),
    lambda state: dict(state_dict=OrderedDict((f'module.{key}', value) for key, value in state.items())),
], ids=['mmengine', 'bare', 'model', 'wrapped'])
@pytest.mark.parametrize('old_format', [False, True], ids=['zip', 'old format'])
def test_every_layout_loads(layout, old_format, tmp_path):
    trained, model = Network(), Network()
    load_weights(model, save(layout(trained.state_dict()), tmp_path / 'a.pth', old_format))
    assert same_weights(model.state_dict(), trained)


def test_mmengines_loader_finds_weights_under_model(tmp_path):
    trained, model = Network(), Network()
    load_checkpoint(model, save(dict(model=trained.state_dict()), tmp_path / 'a.pth'))
    assert same_weights(model.state_dict(), trained)


def test_safetensors_load(tmp_path):
    safetensors = pytest.importorskip('safetensors.torch')
    trained, model = Network(), Network()
    safetensors.save_file(trained.state_dict(), tmp_path / 'a.safetensors')
    load_weights(model, tmp_path / 'a.safetensors')
    assert same_weights(model.state_dict(), trained)


def test_keys_are_revised():
    state = weights_of(dict(state_dict={'module.head.0.weight': 1}), [(r'^module\.', ''), (r'head\.(\d)', r'heads.\1')])
    assert dict(state) == {'heads.0.weight': 1}


@pytest.mark.parametrize('size', [0, 10, 300])
def test_a_damaged_file_is_called_so(size, tmp_path):
    path = save(Network().state_dict(), tmp_path / 'a.pth')
    pathlib.Path(path).write_bytes(pathlib.Path(path).read_bytes()[:size])
    with pytest.raises(CheckpointError, match=r'a\.pth (cannot be read as a checkpoint: it is damaged|is refused)'):
        read_checkpoint(path)


def test_a_missing_file_names_the_nearest(tmp_path):
    save({}, tmp_path / 'iter_800.pth')
    with pytest.raises(CheckpointError, match=r'no checkpoint .*iter_80\.pth: the folder holds iter_800\.pth'):
        read_checkpoint(tmp_path / 'iter_80.pth')
    with pytest.raises(CheckpointError, match='there is no folder'):
        read_checkpoint(tmp_path / 'nowhere' / 'a.pth')


def test_another_model_is_counted_and_named():
    with pytest.raises(CheckpointError) as found:
        load_weights(Network(), {'encoder.weight': torch.zeros(2), 'backbone.0.weight': torch.zeros(4, 3, 1, 1)})
    text = str(found.value)
    assert 'does not match Network, which has 10 weights' in text
    assert '9 missing: auxiliary_head.conv_seg.bias, auxiliary_head.conv_seg.weight, backbone.0.bias …' in text
    assert '1 that the model does not have: encoder.weight' in text and 'revise_keys' in text


def test_another_number_of_classes_is_told_from_another_model():
    other = Network(classes=5).state_dict()
    with pytest.raises(CheckpointError) as found:
        load_weights(Network(), other)
    text = str(found.value)
    assert '4 of another shape: auxiliary_head.conv_seg.bias [5] where the model has [3]' in text
    assert 'trained for 5 classes and the model has 3 in auxiliary_head, decode_head' in text
    assert 'num_classes=5' in text and 'load_from' in text


def test_fine_tuning_keeps_the_new_classifier():
    model, other = Network(), Network(classes=5)
    classifier = model.decode_head['conv_seg'].weight.clone()
    load_weights(model, other.state_dict(), fine_tune=True)
    assert torch.equal(model.backbone[0].weight, other.backbone[0].weight)
    assert torch.equal(model.decode_head['conv_seg'].weight, classifier)
    with pytest.raises(CheckpointError, match='same backbone'):
        load_weights(model, Network(width=5).state_dict(), fine_tune=True)


def test_weights_to_spare_are_only_an_error_if_asked():
    model, state = Network(), dict(Network().state_dict(), extra=torch.zeros(1))
    load_weights(model, state)
    assert torch.equal(model.backbone[0].weight, state['backbone.0.weight'])
    with pytest.raises(CheckpointError, match='1 that the model does not have: extra'):
        load_weights(model, state, strict=True)


@pytest.fixture
def server(tmp_path):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=tmp_path / 'www')

        def log_message(self, *args):
            pass

    (tmp_path / 'www').mkdir()
    server = http.server.HTTPServer(('127.0.0.1', 0), Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield tmp_path / 'www', f'http://127.0.0.1:{server.server_port}'
    server.shutdown()
    server.server_close()


def test_a_download_is_kept(server, tmp_path, monkeypatch):
    folder, address = server
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'cache'))
    trained, model = Network(), Network()
    file = folder / 'weights.pth'
    save(trained.state_dict(), file)
    load_weights(model, f'{address}/{file.name}')
    file.unlink()
    read_checkpoint(f'{address}/{file.name}')
    assert same_weights(model.state_dict(), trained)
    assert (tmp_path / 'cache/hub/checkpoints' / file.name).is_file()


def test_a_download_is_read_as_safely(server, tmp_path, monkeypatch):
    folder, address = server
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'cache'))
    save(dict(a=Runs(os.system, f'touch {tmp_path / "it-ran"}')), folder / 'evil.pth')
    with pytest.raises(CheckpointError, match='refused: it asks for .*system'):
        load_checkpoint(Network(), f'{address}/evil.pth')
    assert not (tmp_path / 'it-ran').exists()


def test_without_a_network_the_place_is_named(server, tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'cache'))
    with pytest.raises(CheckpointError, match='cannot be fetched .*put it at .*cache/hub/checkpoints/none.pth'):
        read_checkpoint(f'{server[1]}/none.pth')


@pytest.mark.parametrize('address, near', [
    ('torchvision://resnet51', 'resnet5'), ('open-mmlab://resnet50_v1x', 'resnet50_v1'),
    ('mmcls://mobilenet_v1', 'mobilenet_v2')])
def test_an_unknown_published_name_names_the_nearest(address, near, monkeypatch):
    monkeypatch.setattr('mmseg.utils.checkpoint.get_torchvision_models', lambda: {'resnet50': 'http://a/b.pth'})
    with pytest.raises(CheckpointError, match=f'no weights of that name; there are .*{near}'):
        read_checkpoint(address)


def test_what_would_be_refused_is_said_when_it_is_written(tmp_path, caplog, monkeypatch):
    said = []
    monkeypatch.setattr('mmseg.utils.checkpoint.print_log', lambda text, **_: said.append(text))
    write_checkpoint(dict(state_dict=Network().state_dict(), message_hub=message_hub()), tmp_path / 'fine.pth')
    write_checkpoint(dict(meta=dict(model=Network())), tmp_path / 'bad.pth')
    assert len(said) == 1 and 'bad.pth holds objects of' in said[0] and 'Network' in said[0]
