"""What a run writes down and shows."""
import io
import json
import sys

import pytest

from mmseg.engine import Runner
from mmseg.engine.hooks.progress_hook import ProgressHook
from tests.engine.toy import with_validation


def test_scalars_are_lines_of_json(config_for, tmp_path):
    Runner.from_cfg(with_validation(config_for())).train()
    file, = (tmp_path / 'run').glob('*/vis_data/scalars.json')
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    training = [line for line in lines if 'loss' in line]
    assert [line['iter'] for line in training] == [5, 10, 15, 20] and training[-1]['decode.loss_ce'] > 0
    assert len([line for line in lines if 'mIoU' in line]) == 2


def test_tensorboard_has_them_too(config_for, tmp_path):
    accumulator = pytest.importorskip('tensorboard.backend.event_processing.event_accumulator')
    visualizer = dict(type='mmengine.Visualizer', vis_backends=[dict(type='TensorboardVisBackend')])
    Runner.from_cfg(config_for(visualizer=visualizer)).train()
    events = accumulator.EventAccumulator(str(next((tmp_path / 'run').glob('*/vis_data'))))
    events.Reload()
    assert [event.step for event in events.Scalars('loss')] == [5, 10, 15, 20]


def test_the_log_says_when_it_ends(config_for, tmp_path):
    Runner.from_cfg(with_validation(config_for(log_level='INFO'))).train()
    text = next((tmp_path / 'run').glob('*/*.log')).read_text()
    assert 'Iter(train) [10/20]' in text and 'eta: 0:00:00' in text


class Terminal(io.StringIO):

    def isatty(self) -> bool:
        return True


def test_a_person_sees_how_far_a_validation_is(config_for, monkeypatch):
    screen = Terminal()
    monkeypatch.setattr(sys, 'stdout', screen)
    runner = Runner.from_cfg(with_validation(config_for()))
    runner.train()
    assert screen.getvalue().count('\r\033[Kval 3/3, ') == 2 and 'batches/s, 0:00:00 left\n' in screen.getvalue()


def test_nobody_is_shown_nothing(config_for):
    runner = Runner.from_cfg(config_for())
    assert not ProgressHook.watched() and not [hook for hook in runner.hooks if isinstance(hook, ProgressHook)]


def test_weights_and_biases_offline(config_for, tmp_path):
    pytest.importorskip('wandb')
    backend = dict(type='WandbVisBackend', init_kwargs=dict(mode='offline', project='test'))
    Runner.from_cfg(config_for(visualizer=dict(type='mmengine.Visualizer', vis_backends=[backend]))).train()
    run, = (tmp_path / 'run').glob('*/vis_data/wandb/offline-run-*')
    assert next(run.glob('run-*.wandb')).stat().st_size > 0


def test_mlflow_in_a_folder(config_for, tmp_path):
    mlflow = pytest.importorskip('mlflow')
    address = (tmp_path / 'mlruns').as_uri()
    backend = dict(type='MLflowVisBackend', exp_name='test', tracking_uri=address)
    Runner.from_cfg(config_for(visualizer=dict(type='mmengine.Visualizer', vis_backends=[backend]))).train()
    run, = mlflow.search_runs(experiment_names=['test'], output_format='list')
    history = mlflow.MlflowClient(address).get_metric_history(run.info.run_id, 'loss')
    assert [metric.step for metric in history] == [5, 10, 15, 20]
