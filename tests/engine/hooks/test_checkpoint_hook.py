"""At every moment, a killed process's last one too, a complete checkpoint stands."""
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook

from mmseg.engine import Runner
from mmseg.registry import HOOKS
from mmseg.utils.atomic import DiskFullError
from mmseg.utils.checkpoint import read_checkpoint
from mmseg.utils.errors import InputError
from tests.engine.toy import with_validation

KILLS = 5


def saving(**options) -> dict:
    return dict(checkpoint=dict(type='CheckpointHook', by_epoch=False, **options))


def files(folder) -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir() if path.is_file() and path.suffix != '.py')


@HOOKS.register_module(force=True)
class Witness(Hook):
    """Notes which checkpoints stand whenever one is about to be written."""

    seen: list = []

    def before_save_checkpoint(self, runner, checkpoint):
        self.seen.append(files(runner.work_dir))


def test_older_ones_go_once_the_new_one_stands(config_for, tmp_path):
    Witness.seen.clear()
    Runner.from_cfg(config_for(default_hooks=saving(interval=5, max_keep_ckpts=2),
                               custom_hooks=[dict(type='Witness')])).train()
    assert files(tmp_path / 'run') == ['iter_15.pth', 'iter_20.pth', 'last_checkpoint']
    assert Witness.seen[-1] == ['iter_10.pth', 'iter_15.pth', 'last_checkpoint']
    assert (tmp_path / 'run/last_checkpoint').read_text() == str(tmp_path / 'run/iter_20.pth')


def test_a_run_killed_before_it_deleted_does_so_on_resuming(config_for, tmp_path, monkeypatch):
    config = config_for(default_hooks=saving(interval=5, max_keep_ckpts=1),
                        train_cfg=dict(by_epoch=False, max_iters=10))
    monkeypatch.setattr('mmengine.fileio.LocalBackend.remove', lambda self, path: None)
    Runner.from_cfg(config).train()
    monkeypatch.undo()
    assert files(tmp_path / 'run') == ['iter_10.pth', 'iter_5.pth', 'last_checkpoint']
    Runner.from_cfg({**config, 'train_cfg': dict(by_epoch=False, max_iters=12), 'resume': True}).train()
    assert files(tmp_path / 'run') == ['iter_12.pth', 'last_checkpoint']


def test_unfinished_ones_of_a_killed_run_are_removed(config_for, tmp_path):
    (tmp_path / 'run').mkdir()
    (tmp_path / 'run/.iter_8.pth.writing').write_bytes(b'part')
    Runner.from_cfg(config_for(default_hooks=saving(interval=20))).train()
    assert files(tmp_path / 'run') == ['iter_20.pth', 'last_checkpoint']


def test_training_goes_on_from_the_best_one_too(config_for, tmp_path):
    changes = dict(default_hooks=saving(interval=20, save_best='mIoU'))
    Runner.from_cfg(with_validation(config_for('straight', **changes), interval=5)).train()
    best, = (tmp_path / 'straight').glob('best_mIoU_iter_*.pth')
    content, last = read_checkpoint(best), read_checkpoint(tmp_path / 'straight/iter_20.pth')
    assert content['optimizer']['state'] and content['param_schedulers']
    assert last['message_hub']['runtime_info']['best_ckpt'] == str(best)
    config = config_for('other', **changes, load_from=str(best), resume=True)
    resumed = Runner.from_cfg(with_validation(config, interval=5))
    resumed.train()
    again = read_checkpoint(resumed.message_hub.get_info('last_ckpt'))['state_dict']
    assert all(torch.equal(again[key], value) for key, value in last['state_dict'].items())


def test_a_metric_that_nobody_gives_is_named(config_for):
    config = with_validation(config_for(default_hooks=saving(interval=20, save_best='mDice')), interval=5)
    with pytest.raises(InputError, match="save_best is 'mDice', but the evaluation gives mIoU, samples"):
        Runner.from_cfg(config).train()


def test_a_full_disk_stops_with_the_last_good_one(config_for, tmp_path, monkeypatch):
    save = Runner.save_checkpoint

    def no_space(file, content):
        file.size += len(content)
        if file._file is not None:
            file.failure = OSError(28, 'No space left on device')
            raise file.failure
        return len(content)

    def full_at_ten(self, out_dir, filename, *args, **kwargs):
        if filename == 'iter_10.pth':
            monkeypatch.setattr('mmseg.utils.atomic._WatchedFile.write', no_space)
        save(self, out_dir, filename, *args, **kwargs)

    monkeypatch.setattr(Runner, 'save_checkpoint', full_at_ten)
    with pytest.raises(DiskFullError, match=r'no room for .*iter_10\.pth: it takes [\d,]+ bytes'):
        Runner.from_cfg(config_for(default_hooks=saving(interval=5))).train()
    assert files(tmp_path / 'run') == ['iter_5.pth', 'last_checkpoint']
    assert read_checkpoint((tmp_path / 'run/last_checkpoint').read_text())['meta']['iter'] == 5


def train_forever(config: dict) -> None:
    Runner.from_cfg(config).train()


def test_killed_at_any_moment_it_goes_on(config_for, tmp_path):
    folder = tmp_path / 'run'
    config = dict(config_for(default_hooks=saving(interval=1, max_keep_ckpts=2), param_scheduler=None), resume=True)
    config['train_cfg'] = dict(by_epoch=False, max_iters=100_000)
    iterations, moment = [0], random.Random(1)
    for _ in range(KILLS):
        child = multiprocessing.get_context('fork').Process(target=train_forever, args=(config,))
        child.start()
        wait_for_progress(folder, iterations[-1], child)
        time.sleep(moment.random() * 0.1)
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        assert child.exitcode == -signal.SIGKILL
        iterations.append(read_checkpoint((folder / 'last_checkpoint').read_text())['meta']['iter'])
    assert iterations == sorted(set(iterations))
    config['train_cfg'] = dict(by_epoch=False, max_iters=iterations[-1] + 3)
    Runner.from_cfg(config).train()
    assert read_checkpoint((folder / 'last_checkpoint').read_text())['meta']['iter'] == iterations[-1] + 3
    assert len(files(folder)) == 3


def wait_for_progress(folder: Path, iteration: int, child) -> None:
    """Return once the child has saved more than that iteration."""
    deadline = time.monotonic() + 300
    while child.is_alive() and time.monotonic() < deadline:
        done = [int(path.stem.split('_')[1]) for path in folder.glob('iter_*.pth')]
        if max(done, default=0) > iteration + 1:
            return
        time.sleep(0.01)
    raise AssertionError(f'nothing was saved after iteration {iteration}')
