"""A run that was stopped and resumed ends with the very weights of one that was not."""
import copy
import random

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop

from mmseg.engine import Runner
from mmseg.registry import HOOKS, LOOPS
from mmseg.utils.checkpoint import CheckpointError, read_checkpoint
from tests.cli.tiny import write_project
from tests.engine.toy import with_validation

EMA = dict(type='EMAHook', ema_type='ExponentialMovingAverage', momentum=0.1)
ADAM = dict(optimizer=dict(type='AdamW', lr=0.01), accumulative_counts=2, clip_grad=dict(max_norm=1.0))
EPOCHS = dict(train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=4, val_interval=2))
BY_EPOCH = dict(checkpoint=dict(type='CheckpointHook', interval=1))
WITHIN_EPOCH = dict(checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=4))


@HOOKS.register_module(force=True)
class Interrupt(Hook):
    """Stop the process, as it were, when an iteration begins."""

    priority = 'HIGHEST'

    def __init__(self, at: int):
        self.at = at

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.at:
            raise KeyboardInterrupt


def finite(config: dict, **options) -> dict:
    loader = dict(config['train_dataloader'], sampler=dict(type='DefaultSampler', shuffle=True), **options)
    return dict(config, train_dataloader=loader)


def same(one, other) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def train(config: dict) -> dict:
    runner = Runner.from_cfg(config)
    runner.train()
    runner.train_dataloader._iterator = None  # persistent workers would wait for the collection of garbage
    return read_checkpoint(runner.message_hub.get_info('last_ckpt'))


def interrupt(config: dict, at: int) -> None:
    config = copy.deepcopy(config)
    config['custom_hooks'] = [*config.get('custom_hooks', ()), dict(type='Interrupt', at=at)]
    runner = Runner.from_cfg(config)
    with pytest.raises(KeyboardInterrupt):
        runner.train()


@pytest.mark.parametrize('changes, workers, finite_sampler', [
    ({}, dict(num_workers=0), False),
    (dict(custom_hooks=[EMA]), dict(num_workers=2, persistent_workers=True), False),
    (dict(optim_wrapper=ADAM), dict(num_workers=1), False),
    ({}, dict(num_workers=2), True),
    (dict(EPOCHS, default_hooks=BY_EPOCH, param_scheduler=None), dict(num_workers=0), True),
    (dict(EPOCHS, default_hooks=WITHIN_EPOCH), dict(num_workers=2, persistent_workers=True), True),
], ids=['plain', 'ema, persistent workers', 'adam, accumulation', 'finite sampler', 'epochs', 'within an epoch'])
def test_bit_for_bit(config_for, changes, workers, finite_sampler):
    def config(name, **options):
        made = config_for(name, **changes)
        made = dict(finite(made) if finite_sampler else made)
        made['train_dataloader'] = dict(made['train_dataloader'], **options)
        return with_validation(made, interval=made['train_cfg']['val_interval'])

    straight = train(config('straight'))
    interrupt(config('stopped'), at=13)
    resumed = train(dict(config('stopped', **workers), resume=True))
    for part in ('state_dict', 'optimizer', 'param_schedulers', 'ema_state_dict'):
        assert same(straight.get(part), resumed.get(part)), part
    history = [checkpoint['message_hub']['log_scalars']['train/loss'].data[0] for checkpoint in (straight, resumed)]
    assert np.array_equal(*history) and len(history[0]) == straight['meta']['iter'] == resumed['meta']['iter']


def test_bit_for_bit_from_files(tmp_path):
    """The network, the transforms, the mosaics and the workers of a real config."""
    whole = Config.fromfile(write_project(tmp_path))
    leaf = dict(whole.train_dataloader.dataset,
                pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')])
    mixed = dict(type='MultiImageMixDataset', dataset=dict(type='ConcatDataset', datasets=[leaf, leaf]), pipeline=[
        dict(type='RandomMosaic', prob=0.7, img_scale=(48, 64)), dict(type='RandomFlip', prob=0.5),
        dict(type='RandomResize', scale=(64, 48), ratio_range=(0.5, 2.0), keep_ratio=True),
        dict(type='RandomCrop', crop_size=(32, 32), cat_max_ratio=0.75), dict(type='PhotoMetricDistortion'),
        dict(type='PackSegInputs')])

    def config(name, **options):
        made = copy.deepcopy(whole)
        made.merge_from_dict(dict(work_dir=str(tmp_path / name), experiment_name=name, log_level='WARNING',
                                  train_cfg=dict(max_iters=6, val_interval=2)))
        made.train_dataloader = dict(batch_size=2, sampler=dict(type='InfiniteSampler'), dataset=mixed,
                                     **{'num_workers': 0, **options})
        return made

    straight = train(config('straight'))
    stopped = config('stopped')
    interrupt(stopped, at=3)
    resumed = config('stopped', num_workers=3)
    resumed.resume = True
    assert same(straight['state_dict'], train(resumed)['state_dict'])


def test_without_a_seed_one_is_drawn_and_kept(config_for, tmp_path):
    config = config_for('stopped', randomness=dict(seed=None))
    interrupt(config, at=13)
    seed = read_checkpoint(tmp_path / 'stopped/iter_10.pth')['meta']['seed']
    random.seed(77), np.random.seed(77)  # noqa: NPY002
    resumed = train(dict(config, resume=True))
    straight = train(config_for('straight', randomness=dict(seed=seed)))
    assert same(straight['state_dict'], resumed['state_dict']) and resumed['meta']['seed'] == seed


def test_the_seed_is_in_the_log(config_for, tmp_path):
    runner = Runner.from_cfg(config_for(randomness=dict(), log_level='INFO'))
    log, = (tmp_path / 'run').glob('*/*.log')
    assert f'seed: {runner.seed}\n' in log.read_text()


def test_other_seeds_give_other_weights(config_for):
    one, other = (train(config_for(f'seed{seed}', randomness=dict(seed=seed))) for seed in (1, 2))
    assert not same(one['state_dict'], other['state_dict'])


def test_another_batch_size_goes_on_with_the_next_sample(config_for, monkeypatch):
    config = config_for('stopped')
    interrupt(config, at=13)
    config = dict(config, train_dataloader=dict(config['train_dataloader'], batch_size=4), resume=True,
                  train_cfg=dict(config['train_cfg'], max_iters=11))
    runner = Runner.from_cfg(config)
    seen = []
    monkeypatch.setattr(type(runner.train_dataloader.sampler), 'start_at', lambda self, position: seen.append(position))
    runner.train()
    assert seen == [20]
    assert read_checkpoint(runner.message_hub.get_info('last_ckpt'))['meta']['samples'] == 24


def test_a_moved_folder_resumes(config_for, tmp_path):
    config = config_for('old')
    interrupt(config, at=13)
    (tmp_path / 'old').rename(tmp_path / 'new')
    resumed = train({**config, 'work_dir': str(tmp_path / 'new'), 'resume': True})
    assert same(train(config_for('straight'))['state_dict'], resumed['state_dict'])
    assert not (tmp_path / 'old').exists()


def test_weights_alone_cannot_be_resumed(config_for, tmp_path):
    runner = Runner.from_cfg(config_for())
    torch.save(runner.model.state_dict(), tmp_path / 'weights.pth')
    with pytest.raises(CheckpointError, match='weights.pth holds weights but no state of a training.*without resume'):
        Runner.from_cfg(config_for('other', load_from=str(tmp_path / 'weights.pth'), resume=True)).train()


@LOOPS.register_module(force=True)
class Replaying(IterBasedTrainLoop):
    """A user's loop, made from mmengine's."""


def test_a_loop_made_from_mmengines_resumes_by_replaying(config_for):
    changes = dict(model=dict(type='ToySegmentor', dropout=0.0), train_cfg=dict(type='Replaying', max_iters=20))
    straight = train(config_for('straight', **changes))
    interrupt(config_for('stopped', **changes), at=13)
    resumed = train(dict(config_for('stopped', **changes), resume=True))
    assert same(straight['state_dict'], resumed['state_dict'])
