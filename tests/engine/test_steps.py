"""What a step of the optimiser is made of: batches, rates, and weights that settings are meant for."""
import logging

import pytest
import torch

from mmseg.engine import Runner
from mmseg.engine.optimizers.custom_keys import warn_of_unmatched_keys
from mmseg.utils.checkpoint import read_checkpoint
from mmseg.utils.errors import InputError
from tests.engine.processes import in_processes
from tests.engine.test_resume import interrupt, same, train
from tests.engine.toy import ToySegmentor

TWO = dict(launcher='pytorch', env_cfg=dict(dist_cfg=dict(backend='gloo', timeout=300)))
STILL = dict(type='ToySegmentor', dropout=0.0, frozen_norm=True)


def accumulating(config_for, name, batches, batch_size, **changes):
    made = config_for(name, model=STILL, param_scheduler=None, **changes)
    made['optim_wrapper'] = dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9), accumulative_counts=batches)
    return dict(made, train_dataloader=dict(made['train_dataloader'], batch_size=batch_size))


def test_four_batches_of_one_step_are_one_of_four_times_the_size(config_for):
    small = train(accumulating(config_for, 'small', 4, 1))
    large = train(dict(accumulating(config_for, 'large', 1, 4), train_cfg=dict(by_epoch=False, max_iters=5)))
    for key, value in large['state_dict'].items():
        torch.testing.assert_close(small['state_dict'][key], value, atol=1e-6, rtol=1e-5, msg=key)


def test_a_step_that_is_begun_is_not_lost(config_for, tmp_path):
    straight = train(accumulating(config_for, 'straight', 4, 2))
    stopped = accumulating(config_for, 'stopped', 4, 2)
    interrupt(stopped, at=13)  # what is saved at 10 is in the middle of the third update
    assert set(read_checkpoint(tmp_path / 'stopped/iter_10.pth')['gradients']) == {
        name for name, _ in ToySegmentor().named_parameters()}
    assert same(straight['state_dict'], train(dict(stopped, resume=True))['state_dict'])
    assert 'gradients' not in straight


def weights_after(config, resumed: bool) -> dict:
    if resumed:
        interrupt(config, at=13)
        torch.distributed.barrier()
    runner = Runner.from_cfg(dict(config, resume=resumed))
    runner.train()
    return {key: value.numpy() for key, value in runner.model.module.state_dict().items()}


def test_nor_by_two_processes(config_for):
    straight, resumed = (in_processes(2, weights_after, accumulating(config_for, name, 4, 1, **TWO), name == 'stopped')
                         for name in ('straight', 'stopped'))
    for key, value in straight[0].items():
        assert abs(value - resumed[0][key]).max() < 1e-6, key


@pytest.mark.parametrize('accumulated, batch_size, base, rate', [(1, 2, 8, 0.025), (1, 16, 8, 0.2), (4, 2, 8, 0.1)])
def test_rates_follow_the_samples_of_a_step(config_for, accumulated, batch_size, base, rate):
    config = accumulating(config_for, 'run', accumulated, batch_size)
    config.update(auto_scale_lr=dict(enable=True, base_batch_size=base), train_cfg=dict(by_epoch=False, max_iters=1))
    config['optim_wrapper']['paramwise_cfg'] = dict(custom_keys={'decode_head': dict(lr_mult=10.0)})
    runner = Runner.from_cfg(config)
    runner.train()
    rates = [group['lr'] for group in runner.optim_wrapper.optimizer.param_groups]
    assert rates == pytest.approx([rate] * 4 + [10 * rate] * 2)


def test_rates_stay_unless_asked(config_for):
    config = accumulating(config_for, 'run', 1, 2)
    config.update(auto_scale_lr=dict(enable=False, base_batch_size=8), train_cfg=dict(by_epoch=False, max_iters=1))
    runner = Runner.from_cfg(config)
    runner.train()
    assert runner.optim_wrapper.param_groups[0]['lr'] == 0.1
    config['auto_scale_lr'] = dict(enable=True)
    with pytest.raises(InputError, match='auto_scale_lr needs base_batch_size'):
        Runner.from_cfg(config).train()


@pytest.mark.parametrize('key, near', [
    ('decod_head', 'decode_head'), ('backbone.conv', 'backbone.0'), ('decode_head.conv_sag', 'decode_head.conv_seg')])
def test_settings_for_no_weight_are_warned_of(config_for, tmp_path, key, near):
    config = config_for(train_cfg=dict(by_epoch=False, max_iters=1))
    config['optim_wrapper']['paramwise_cfg'] = dict(custom_keys={key: dict(lr_mult=10.0), 'decode_head': {}})
    Runner.from_cfg(config).train()
    text = next((tmp_path / 'run').glob('*/*.log')).read_text()
    line = next(line for line in text.splitlines() if 'matches no weight' in line)
    assert f"'{key}' matches no weight" in line and near in line.partition('near are')[2]


def test_settings_that_match_are_not(caplog):
    keys = {'decode_head': {}, '.bias': {}, 'backbone.0': {}}
    with caplog.at_level(logging.WARNING):
        assert warn_of_unmatched_keys(dict(paramwise_cfg=dict(custom_keys=keys)), ToySegmentor()) == []
        assert warn_of_unmatched_keys(dict(optimizer={}), ToySegmentor()) == []


class Pooling(ToySegmentor):
    """Normalises features that are pooled over the whole image."""

    def __init__(self, **options):
        super().__init__(**options)
        self.pooled_norm = torch.nn.SyncBatchNorm(4)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        features = self.backbone(torch.stack(list(inputs))).mean((2, 3), keepdim=True)
        return {'loss': self.pooled_norm(features).square().mean() + 0 * self.decode_head(features).sum()}


def train_pooling(config) -> str:
    try:
        Runner.from_cfg(dict(config, model=Pooling())).train()
    except InputError as error:
        return str(error)
    return 'trained'


def test_one_image_for_a_normalisation_is_explained(config_for):
    def config(name, size, **changes):
        made = config_for(name, train_cfg=dict(by_epoch=False, max_iters=2), **changes)
        return dict(made, train_dataloader=dict(made['train_dataloader'], batch_size=size))

    text = train_pooling(config('one', 1))
    assert text.startswith('pooled_norm normalises over the batch and got one value a channel: the batch has 1 image')
    assert 'batch_size to 2 or more' in text
    assert train_pooling(config('two', 2)) == 'trained'
    assert in_processes(2, train_pooling, config('several', 1, **TWO)) == ['trained'] * 2
