"""Parts that the runner chooses, and weights that it begins with."""
import mmengine
import pytest
import torch
from mmengine.dataset import DefaultSampler
from mmengine.runner import Runner as PlainRunner

from mmseg.engine import CheckpointHook, EpochBasedTrainLoop, IterBasedTrainLoop, Runner
from mmseg.registry import RUNNERS
from mmseg.utils.checkpoint import CheckpointError
from tests.engine.toy import toy_config, with_validation


@pytest.mark.parametrize('train_cfg, kind', [
    (dict(by_epoch=False, max_iters=2), IterBasedTrainLoop), (dict(by_epoch=True, max_epochs=2), EpochBasedTrainLoop),
    (dict(type=mmengine.runner.IterBasedTrainLoop, max_iters=2), IterBasedTrainLoop),
    (dict(type='IterBasedTrainLoop', max_iters=2), IterBasedTrainLoop),
])
def test_loops_are_ours_however_they_are_named(config_for, train_cfg, kind):
    config = config_for(train_cfg=train_cfg)
    config['train_dataloader'] = dict(config['train_dataloader'], sampler=dict(type=DefaultSampler))
    assert type(Runner(**config).train_loop) is kind


@pytest.mark.parametrize('kind', [mmengine.hooks.CheckpointHook, 'CheckpointHook'])
def test_hooks_are_ours_however_they_are_named(config_for, kind):
    runner = Runner(**config_for(default_hooks=dict(checkpoint=dict(type=kind, interval=1))))
    assert sum(type(hook) is CheckpointHook for hook in runner.hooks) == 1


def test_without_a_scope_names_are_ours(tmp_path):
    config = toy_config(tmp_path, default_scope=None)
    assert type(RUNNERS.build(mmengine.Config(config))) is Runner
    parts = {name: config[name] for name in ('model', 'work_dir', 'train_dataloader', 'train_cfg', 'optim_wrapper')}
    assert type(Runner(**parts).train_loop) is IterBasedTrainLoop


@pytest.mark.parametrize('number', [0.5, 2.5])
def test_half_iterations_are_refused(config_for, number):
    with pytest.raises(ValueError, match=f'max_iters of the train loop is {number}: give a whole number'):
        Runner.from_cfg(config_for(train_cfg=dict(by_epoch=False, max_iters=number))).train()


def test_validation_follows_its_intervals(config_for):
    config = with_validation(config_for(), interval=8)
    config['train_cfg'] = dict(config['train_cfg'], dynamic_intervals=[(10, 3)], val_begin=5)
    runner, seen = Runner.from_cfg(config), []
    runner.val_loop.run = lambda: seen.append(runner.iter)
    runner.train()
    assert seen == [8, 9, 12, 15, 18, 20]


@pytest.fixture
def three_classes(tmp_path):
    """A checkpoint of the toy's network with another number of classes."""
    model = Runner.from_cfg(toy_config(tmp_path / 'three', model=dict(
        type='ToySegmentor', decode_head=dict(num_classes=3)))).model
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'three.pth')
    return str(tmp_path / 'three.pth'), model


def test_training_may_begin_with_other_classes(config_for, three_classes):
    path, donor = three_classes
    still = dict(optimizer=dict(type='SGD', lr=0.0))
    runner = Runner.from_cfg(config_for(load_from=path, optim_wrapper=still, param_scheduler=None))
    runner.train()
    assert torch.equal(runner.model.backbone[0].weight, donor.backbone[0].weight)


def test_an_evaluation_may_not(config_for, three_classes):
    with pytest.raises(CheckpointError, match=r'three\.pth does not match ToySegmentor.*trained for 3 classes'):
        Runner.from_cfg(with_validation(config_for(load_from=three_classes[0]))).val()


def test_mmengines_runner_saves_and_resumes_with_our_hook(config_for, tmp_path):
    config = mmengine.Config(config_for())
    runner = PlainRunner.from_cfg(config)
    runner.train()
    assert sum(type(hook) is CheckpointHook for hook in runner.hooks) == 1
    config.merge_from_dict(dict(resume=True, train_cfg=dict(max_iters=25)))
    resumed = PlainRunner.from_cfg(config)
    resumed.train()
    assert resumed.iter == 25 and (tmp_path / 'run/last_checkpoint').read_text().endswith('iter_25.pth')


def test_two_runners_of_one_second_share_nothing(config_for):
    visualizer = dict(type='Visualizer', name='visualizer', vis_backends=[dict(type='LocalVisBackend')])
    first, second = (Runner(**config_for(visualizer=dict(visualizer))) for _ in range(2))
    assert first.visualizer is not second.visualizer
    first.message_hub.update_scalar('val/mIoU', 1.0)
    assert 'val/mIoU' not in second.message_hub.log_scalars


@pytest.mark.skipif(not torch.set_flush_denormal(False), reason='this processor cannot flush subnormal numbers')
def test_subnormal_numbers_count_as_zero(config_for):
    torch.set_flush_denormal(False)
    Runner(**config_for())
    assert torch.tensor(1e-39) * 1 == 0
