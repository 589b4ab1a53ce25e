"""What a config may ask of a network in training changes its speed and its memory, not what it learns."""
import copy

import pytest
import torch
from mmengine.config import Config
from torch import nn

from mmseg.engine import Runner
from mmseg.engine.network import compile_network, lay_out_channels_last, recompute_activations
from mmseg.utils.checkpoint import read_checkpoint
from tests.cli.tiny import write_project


@pytest.fixture(scope='module')
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp('network')
    return folder, Config.fromfile(write_project(folder))


@pytest.fixture
def train(project, tmp_path):
    """Train the tiny network for four steps; returns its losses and the last checkpoint."""
    folder, whole = project

    def run(name, **changes):
        config = copy.deepcopy(whole)
        config.merge_from_dict(dict(work_dir=str(tmp_path / name), experiment_name=f'{tmp_path.name}-{name}',
                                    log_level='WARNING', train_cfg=dict(max_iters=4, val_interval=4),
                                    default_hooks=dict(checkpoint=dict(interval=4))))
        for key, value in changes.items():
            config[key] = value
        runner = Runner.from_cfg(config)
        runner.train()
        return (runner.message_hub.get_scalar('train/loss').data[0].tolist(),
                read_checkpoint(runner.message_hub.get_info('last_ckpt')), runner)

    return run


@pytest.mark.parametrize('changes', [
    dict(channels_last=True), dict(activation_checkpointing=True), dict(compile=dict(backend='eager')),
    dict(channels_last=True, activation_checkpointing='backbone.layer2', compile=dict(backend='aot_eager')),
], ids=['channels last', 'activation checkpointing', 'compiled', 'all three'])
def test_losses_and_weights_stay(train, changes):
    losses, checkpoint, _ = train('plain')
    other_losses, other, _ = train('other', **changes)
    assert other_losses == pytest.approx(losses, abs=1e-5) and losses[0] > losses[-1]
    assert checkpoint['state_dict'].keys() == other['state_dict'].keys()
    for key, value in checkpoint['state_dict'].items():
        torch.testing.assert_close(other['state_dict'][key], value, atol=1e-5, rtol=1e-4, msg=key)


def test_images_and_weights_are_laid_out_channels_last(train):
    *_, runner = train('last', channels_last=True)
    seen = []
    convolutions = [module for module in runner.model.modules()
                    if isinstance(module, nn.Conv2d) and module.kernel_size != (1, 1)]
    for module in convolutions:
        assert module.weight.is_contiguous(memory_format=torch.channels_last)
        module.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    runner.model.extract_feat(torch.randn(1, 3, 32, 32))
    assert len(seen) >= 8 and all(x.is_contiguous(memory_format=torch.channels_last) for x in seen)


class Block(nn.Module):
    """Counts how often it runs."""

    def __init__(self):
        super().__init__()
        self.linear, self.calls = nn.Linear(4, 4), 0

    def forward(self, x, scale=1.0):
        self.calls += 1
        return x + scale * self.linear(x).tanh()


class Network(nn.Module):

    def __init__(self):
        super().__init__()
        self.backbone = nn.Module()
        self.backbone.blocks = nn.ModuleList(Block() for _ in range(3))

    def forward(self, x):
        for block in self.backbone.blocks:
            x = block(x, scale=0.5)
        return x


def test_blocks_run_twice_in_training_only():
    model, x = Network(), torch.randn(2, 4)
    plain = copy.deepcopy(model)
    assert recompute_activations(model, ['Block']) == [f'backbone.blocks.{number}' for number in range(3)]
    for network in (model, plain):
        network(x).sum().backward()
    assert [block.calls for block in model.backbone.blocks] == [2, 2, 2]
    for weight, other in zip(model.parameters(), plain.parameters()):
        torch.testing.assert_close(weight.grad, other.grad)
    model.eval()(x).sum().backward()
    assert [block.calls for block in model.backbone.blocks] == [3, 3, 3]


def test_only_training_runs_the_compiled_network():
    model, graphs = Network(), []
    compile_network(model, backend=lambda graph, inputs: graphs.append(graph) or graph.forward)
    keys = list(Network().state_dict())
    model.eval()(torch.randn(2, 4))
    assert not graphs
    model.train()(torch.randn(2, 4))
    assert graphs and list(model.state_dict()) == keys


def test_a_network_without_images_is_let_be():
    model = nn.Sequential(nn.Linear(4, 4))
    lay_out_channels_last(model)
    assert model(torch.ones(2, 4)).shape == (2, 4)
