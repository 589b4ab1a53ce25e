"""A loss that is no number stops the run, and nothing after it is saved."""
import timeit
from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer

from mmseg.engine import FiniteLossHook, NonFiniteLossError, Runner
from mmseg.registry import HOOKS


def saved(folder) -> list[str]:
    return sorted(path.name for path in folder.glob('*.pth'))


def test_iteration_term_and_learning_rate_are_named(config_for, tmp_path):
    config = config_for(model=dict(type='ToySegmentor', poison_at=12), param_scheduler=None)
    sentence = (r'^iteration 13: loss is nan, decode.loss_ce is nan at learning rate 0.1. The last good checkpoint is '
                r'.*iter_10\.pth\. Lower')
    with pytest.raises(NonFiniteLossError, match=sentence):
        Runner.from_cfg(config).train()
    assert saved(tmp_path / 'run') == ['iter_10.pth']


def test_the_step_of_a_checkpoint_is_judged_before_it_is_saved(config_for, tmp_path):
    with pytest.raises(NonFiniteLossError, match='iteration 10: .*No checkpoint was saved before'):
        Runner.from_cfg(config_for(model=dict(type='ToySegmentor', poison_at=9))).train()
    assert saved(tmp_path / 'run') == []


@HOOKS.register_module(force=True)
class Spoiler(Hook):
    """Puts a NaN into a weight although the loss was fine, as an overflowing gradient does."""

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter == 19:
            runner.model.decode_head.conv_seg.weight.data[0] = float('inf')


def test_weights_that_are_no_numbers_are_not_saved(config_for, tmp_path):
    with pytest.raises(NonFiniteLossError, match='1 weights are not finite, first decode_head.conv_seg.weight.*r_10'):
        Runner.from_cfg(config_for(custom_hooks=[dict(type='Spoiler')])).train()
    assert saved(tmp_path / 'run') == ['iter_10.pth']


def test_it_can_be_switched_off(config_for, tmp_path):
    config = config_for(model=dict(type='ToySegmentor', poison_at=12))
    config['default_hooks']['finite_loss'] = None
    Runner.from_cfg(config).train()
    assert saved(tmp_path / 'run') == ['iter_10.pth', 'iter_20.pth']


class Late:
    """An event of a device that is two steps behind."""

    def __init__(self):
        self.asked = 0

    def query(self):
        self.asked += 1
        return self.asked > 2

    def synchronize(self):
        self.asked = 3


def stub(tmp_path):
    hub = SimpleNamespace(log_scalars={'train/lr': HistoryBuffer([0.1], [1])})
    return SimpleNamespace(iter=0, message_hub=hub, work_dir=str(tmp_path))


@pytest.fixture
def late_device(monkeypatch):
    read = FiniteLossHook._read

    def read_later(self, runner, losses):
        reading = read(self, runner, losses)
        reading.arrived = Late()
        return reading

    monkeypatch.setattr(FiniteLossHook, '_read', read_later)


def test_a_device_that_is_behind_is_not_waited_for(tmp_path, late_device):
    hook, runner = FiniteLossHook(), stub(tmp_path)
    losses = [1.0, float('inf'), 1.0]
    for runner.iter, loss in enumerate(losses):
        hook.after_train_iter(runner, runner.iter, outputs=dict(loss=torch.tensor(loss), acc_seg=torch.tensor(0.0)))
    runner.iter = 3
    with pytest.raises(NonFiniteLossError, match='iteration 2: loss is inf at learning rate 0.1'):
        hook.after_train_iter(runner, 3, outputs=dict(loss=torch.tensor(1.0)))
        hook.after_train_iter(runner, 4, outputs=dict(loss=torch.tensor(1.0)))


def test_before_a_validation_the_device_is_waited_for(tmp_path, late_device):
    hook, runner = FiniteLossHook(), stub(tmp_path)
    hook.after_train_iter(runner, 0, outputs=dict(loss=torch.tensor(float('nan'))))
    with pytest.raises(NonFiniteLossError, match='iteration 1: loss is nan'):
        hook.before_val(runner)


def test_it_costs_next_to_nothing(tmp_path):
    hook, runner = FiniteLossHook(), stub(tmp_path)
    outputs = {f'decode.loss_{part}': torch.tensor(1.0) for part in range(4)}
    seconds = min(timeit.repeat(lambda: hook.after_train_iter(runner, 0, outputs=outputs), number=10, repeat=30)) / 10
    assert seconds < 1e-3 and not hook._readings
