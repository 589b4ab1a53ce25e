"""Several processes without CUDA: the weights, the data and the figures of one."""
import copy
import datetime

import pytest
import torch
from mmengine.config import Config
from torch import distributed, nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from mmseg.engine import Runner
from mmseg.engine.sync_bn import ProcessSyncBatchNorm, without_cuda
from tests.cli.tiny import write_project
from tests.engine.processes import in_processes
from tests.engine.toy import with_validation

TWO = dict(launcher='pytorch', env_cfg=dict(dist_cfg=dict(backend='nccl', timeout=300)))


def train(config: dict) -> tuple[dict, list]:
    """The weights at the end with the gradients of each step, and the losses."""
    runner, gradients = Runner.from_cfg(config), {}

    def record(optimizer, args, kwargs):
        for number, weight in enumerate(optimizer.param_groups[0]['params']):
            gradients[f'step {runner.iter}, gradient {number}'] = weight.grad.clone().numpy()

    handle = register_optimizer_step_pre_hook(record)
    runner.train()
    handle.remove()
    model = getattr(runner.model, 'module', runner.model)
    losses = runner.message_hub.get_scalar('train/loss').data[0].tolist()
    return {**gradients, **{key: value.numpy() for key, value in model.state_dict().items()}}, losses


@pytest.mark.parametrize('normalisation', ['synchronised', 'fixed'])
def test_ten_steps_of_two_processes_are_those_of_one(config_for, normalisation):
    changes = dict(model=dict(type='ToySegmentor', dropout=0.0, sync=normalisation == 'synchronised'),
                   train_cfg=dict(by_epoch=False, max_iters=10))

    def config(name, batch_size, **more):
        made = config_for(name, **changes, **more)
        if normalisation == 'fixed':
            made['model']['frozen_norm'] = True
        return dict(made, train_dataloader=dict(made['train_dataloader'], batch_size=batch_size))

    alone, losses = train(config('one', batch_size=4))
    (first, first_losses), (second, second_losses) = in_processes(2, train, config('two', batch_size=2, **TWO))
    for key, value in alone.items():
        assert (first[key] == second[key]).all(), key
        assert abs(first[key] - value).max() < 1e-6, key
    mean = [(one + other) / 2 for one, other in zip(first_losses, second_losses)]
    assert mean == pytest.approx(losses, abs=1e-6) and first_losses != second_losses
    assert sum('gradient' in key for key in alone) == 10 * 6


def test_ten_steps_of_a_real_network(tmp_path):
    """Files, crops, SyncBN in backbone and head, and the losses of the head."""
    whole = Config.fromfile(write_project(tmp_path))

    def config(name, batch_size, **more):
        made = copy.deepcopy(whole)
        made.merge_from_dict(dict(
            work_dir=str(tmp_path / name), experiment_name=f'{tmp_path.name}-{name}', log_level='WARNING',
            model=dict(decode_head=dict(dropout_ratio=0.0)), train_dataloader=dict(batch_size=batch_size),
            train_cfg=dict(max_iters=10, val_interval=20), default_hooks=dict(checkpoint=dict(interval=10)), **more))
        return made

    alone, losses = train(config('one', 4))
    (first, one), (second, other) = in_processes(2, train, config('two', 2, launcher='pytorch'))
    for key, value in alone.items():
        assert (first[key] == second[key]).all() or 'running' in key, key
        assert abs(first[key] - value).max() < 2e-5, key
    assert [(a + b) / 2 for a, b in zip(one, other)] == pytest.approx(losses, abs=1e-5)


def evaluate(config: dict) -> dict:
    config = with_validation(config, size=7)
    return Runner.from_cfg(config).val()


@pytest.mark.parametrize('processes', [2, 3])
def test_figures_of_several_processes_are_those_of_one(config_for, processes):
    alone = evaluate(config_for('one'))
    found = in_processes(processes, evaluate, config_for('many', **TWO))
    assert alone['samples'] == 7 and found == [alone] * processes


def resume(config: dict) -> tuple[dict, list]:
    half = dict(config, train_cfg=dict(by_epoch=False, max_iters=10))
    Runner.from_cfg(half).train()
    distributed.barrier()
    return train(dict(config, resume=True))


def test_two_processes_resume_bit_for_bit(config_for):
    changes = dict(model=dict(type='ToySegmentor', sync=True), **TWO)
    straight = in_processes(2, train, config_for('straight', **changes))
    resumed = in_processes(2, resume, config_for('stopped', **changes))
    for (weights, losses), (again, losses_again) in zip(straight, resumed):
        assert all((weights[key] == again[key]).all() for key in again) and losses[-10:] == losses_again[-10:]


def normalise(whole: torch.Tensor, upstream: torch.Tensor) -> list:
    """Forward and backward of one process's half, and the statistics kept."""
    distributed.init_process_group('gloo', timeout=datetime.timedelta(seconds=300))
    rank = distributed.get_rank()
    layer = without_cuda(nn.Sequential(nn.SyncBatchNorm(3)))[0]
    mine = slice(0, 1) if rank == 0 else slice(1, None)  # halves of different sizes
    part = whole[mine].clone().requires_grad_()
    out = layer(part)
    out.backward(upstream[mine])
    found = [out, part.grad, layer.weight.grad, layer.running_mean, layer.running_var, layer.eval()(part)]
    return [tensor.detach().numpy() for tensor in found]


def test_normalisation_over_processes_is_that_of_the_whole_batch():
    whole, upstream = torch.randn(3, 3, 4, 5) * 3 + 7, torch.randn(3, 3, 4, 5)
    first, second = in_processes(2, normalise, whole, upstream)
    layer = nn.BatchNorm2d(3)
    part = whole.clone().requires_grad_()
    out = layer(part)
    out.backward(upstream)
    expected = [out, part.grad, layer.weight.grad, layer.running_mean, layer.running_var, layer.eval()(part)]
    for index in (0, 1, 5):
        both = torch.cat([torch.from_numpy(part[index]) for part in (first, second)])
        torch.testing.assert_close(both, expected[index].detach(), atol=2e-6, rtol=1e-5)
    torch.testing.assert_close(torch.from_numpy(first[2] + second[2]), expected[2], atol=1e-5, rtol=1e-5)
    for index in (3, 4):
        torch.testing.assert_close(torch.from_numpy(first[index]), expected[index], atol=1e-6, rtol=1e-6)


def test_one_process_needs_no_synchronisation(config_for):
    runner = Runner.from_cfg(config_for(model=dict(type='ToySegmentor', sync=True)))
    kinds = {type(module) for module in runner.model.modules()}
    assert not kinds & {nn.SyncBatchNorm, ProcessSyncBatchNorm}
    launched = config_for('launched', model=dict(type='ToySegmentor', sync=True), **TWO)
    assert in_processes(1, kinds_of_norm, launched) == [[]]


def kinds_of_norm(config: dict) -> list[str]:
    model = Runner.from_cfg(config).model
    return [type(module).__name__ for module in model.modules() if 'Sync' in type(module).__name__]


def test_replacing_keeps_the_very_tensors():
    model = nn.ModuleDict(dict(a=nn.SyncBatchNorm(3), b=nn.Sequential(nn.SyncBatchNorm(2, affine=False)))).eval()
    before = [*model.parameters(), *model.buffers()]
    replaced = without_cuda(model)
    assert [id(tensor) for tensor in before] == [id(tensor) for tensor in (*replaced.parameters(), *replaced.buffers())]
    assert type(replaced['b'][0]) is ProcessSyncBatchNorm and not replaced['a'].training
