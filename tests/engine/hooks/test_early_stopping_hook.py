"""A training that gets no better ends, with its last state saved, also if it was resumed in between."""
from pathlib import Path

import pytest
from mmengine.evaluator import BaseMetric

from mmseg.engine import EarlyStoppingHook, Runner
from mmseg.registry import METRICS
from mmseg.utils.checkpoint import read_checkpoint
from mmseg.utils.errors import InputError
from tests.engine.toy import with_validation

CURVE = [50.0, 60.0, 60.05, 60.0, 59.0, 58.0, 57.0, 56.0, 55.0, 54.0]


@METRICS.register_module(force=True)
class Curve(BaseMetric):
    """Gives the next figure of a curve at each evaluation."""

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        self.curve = list(getattr(self, 'curve', CURVE))
        return dict(mIoU=self.curve.pop(0))


def config_of(config_for, name='run', **changes):
    made = with_validation(config_for(name, **changes), interval=2)
    made['val_evaluator'] = dict(type='Curve')
    made['custom_hooks'] = [dict(type='EarlyStoppingHook', monitor='mIoU', patience=3)]
    made['default_hooks'] = dict(checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=8))
    return made


def test_it_stops_after_patience_and_saves_the_end(config_for, tmp_path):
    runner = Runner.from_cfg(config_of(config_for))
    runner.train()
    assert [type(hook) for hook in runner.hooks].count(EarlyStoppingHook) == 1
    assert runner.iter == 10  # best at 4, then 60.05 (less than 0.1 better), 60.0 and 59.0
    assert Path((tmp_path / 'run/last_checkpoint').read_text()).name == 'iter_10.pth'
    assert read_checkpoint(tmp_path / 'run/iter_10.pth')['meta']['iter'] == 10


def test_a_resumed_run_goes_on_waiting(config_for, monkeypatch):
    first = config_of(config_for)
    first['train_cfg'] = dict(first['train_cfg'], max_iters=7)
    Runner.from_cfg(first).train()
    monkeypatch.setattr('tests.engine.hooks.test_early_stopping_hook.CURVE', CURVE[3:])
    resumed = Runner.from_cfg(dict(config_of(config_for), resume=True))
    resumed.train()
    assert resumed.iter == 10


def test_a_run_that_gets_better_is_let_be(config_for, monkeypatch):
    monkeypatch.setattr('tests.engine.hooks.test_early_stopping_hook.CURVE', [10.0 + step for step in range(10)])
    runner = Runner.from_cfg(config_of(config_for))
    runner.train()
    assert runner.iter == 20


def test_a_figure_that_is_not_there_is_named(config_for):
    config = config_of(config_for)
    config['custom_hooks'] = [dict(type='EarlyStoppingHook', monitor='mDice')]
    with pytest.raises(InputError, match="waits for 'mDice', but the evaluation gives mIoU"):
        Runner.from_cfg(config).train()
