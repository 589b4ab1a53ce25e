"""Curves of several runs, of ours and of older ones, and what an iteration took."""
import json

import cv2
import pytest

from mmseg.cli import main
from mmseg.cli.analyze_logs import Log, plot
from mmseg.utils.errors import InputError


def write(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('\n'.join(json.dumps(line) for line in lines) + '\n')
    return path


def training(step, loss, seconds=0.5, **more):
    return dict(lr=0.01, data_time=seconds / 10, loss=loss, time=seconds, iter=step, memory=1000 + step, step=step,
                **more)


@pytest.fixture
def runs(tmp_path):
    """A run that was resumed at 20, one of 0.x, and one without validation."""
    first = tmp_path / 'first'
    write(first / '20260101_000000' / 'vis_data' / 'scalars.json', [
        training(10, 2.0), training(20, 1.5), dict(mIoU=30.0, loss=1.8, time=0.1, step=20), training(30, 9.0)])
    write(first / '20260102_000000' / 'vis_data' / 'scalars.json', [
        training(30, 1.2, 1.5), dict(mIoU=40.0, loss=1.4, time=0.1, step=40)])
    old = write(tmp_path / 'old.log.json', [
        dict(env_info='CUDA', seed=3), dict(mode='train', epoch=1, iter=50, lr=0.01, memory=900, time=0.2, loss=3.0),
        dict(mode='val', epoch=1, iter=500, lr=0.01, mIoU=0.25)])
    bare = write(tmp_path / 'bare.json', [training(10, 2.0)])
    return first, old, bare


def test_a_resumed_run_is_one_curve(runs):
    log = Log(runs[0])
    assert log.name == 'first'
    assert log.curve('loss') == ([10, 20, 30], [2.0, 1.5, 1.2])
    assert log.curve('mIoU') == ([20, 40], [30.0, 40.0]) and log.curve('val/loss') == ([20, 40], [1.8, 1.4])
    assert log.speed() == {'s/iteration (median)': '0.5000', 'fastest': '0.5000', 'slowest': '1.5000',
                           'of it data': '10.0 %', 'GPU memory (MB)': '1030'}


def test_validations_of_0x_are_where_training_was(runs):
    log = Log(runs[1])
    assert log.curve('mIoU') == ([50], [0.25]) and log.curve('loss') == ([50], [3.0]) and 'seed' not in log.curves


def test_each_key_of_each_run_is_drawn(runs):
    logs = [Log(path) for path in runs]
    axes, = plot(logs, ['loss', 'mIoU'], backend='agg').axes
    assert [line.get_label() for line in axes.lines] == [
        'first loss', 'first mIoU', 'old.log loss', 'old.log mIoU', 'bare loss']
    assert axes.lines[1].get_ydata().tolist() == [30.0, 40.0]
    named, = plot(logs[:1], ['loss'], legend=['mine'], title='T', style='dark', backend='agg').axes
    assert named.lines[0].get_label() == 'mine' and named.get_title() == 'T'


@pytest.mark.parametrize('options, message', [
    (dict(keys=['mIuO']), "first has no 'mIuO', but mIoU"), (dict(keys=['loss'], legend=['a', 'b']), 'names 2 curves'),
    (dict(keys=['loss'], style='pretty'), "no style 'pretty': there are dark, darkgrid")])
def test_what_is_not_there_is_said(runs, options, message):
    with pytest.raises(InputError, match=message):
        plot([Log(runs[0])], backend='agg', **options)


def test_a_text_log_and_an_empty_folder_are_refused(tmp_path):
    (tmp_path / 'run.log').write_text('2026/01/01 - mmengine - INFO - hello\n')
    with pytest.raises(InputError, match='run.log, line 1 is no JSON'):
        Log(tmp_path / 'run.log')
    with pytest.raises(InputError, match='no log in .*TIME/vis_data/scalars.json'):
        Log(tmp_path)
    (tmp_path / 'empty.json').write_text('')
    with pytest.raises(InputError, match='empty.json holds no logged values'):
        Log(tmp_path / 'empty.json')


def test_the_command(runs, tmp_path, capsys, monkeypatch):
    picture = tmp_path / 'out' / 'curves.png'
    assert main(['analyze-logs', *map(str, runs), '--keys', 'mIoU', 'loss', '--out', str(picture)]) == 0
    assert cv2.imread(str(picture)).std() > 5
    shown = capsys.readouterr().out
    assert '1.5000' in shown and '10.0 %' in shown and 'old.log' in shown
    monkeypatch.delenv('DISPLAY', raising=False)
    monkeypatch.delenv('WAYLAND_DISPLAY', raising=False)
    assert main(['analyze-logs', str(runs[0])]) == 2
    assert 'write them to a file with --out' in capsys.readouterr().err
