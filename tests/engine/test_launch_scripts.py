"""The scripts that start several processes: on one machine, as if on two, and when one of them dies."""
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.cli.tiny import write_project
from tests.engine.test_processes import free_port

ROOT = Path(__file__).resolve().parents[2]
DIES = '''
import os, pathlib, signal
from mmengine.hooks import Hook
from mmseg.registry import HOOKS

@HOOKS.register_module(force=True)
class Dies(Hook):
    """Ends process 1, with an error or without a word, in its second step."""

    def __init__(self, how):
        self.how = how

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == 1 and runner.rank == 1:
            pathlib.Path(runner.work_dir, 'died').touch()
            if self.how == 'error':
                raise RuntimeError('the disk is on fire')
            os.kill(os.getpid(), signal.SIGKILL)
'''


@pytest.fixture(scope='module')
def project(tmp_path_factory):
    config = write_project(tmp_path_factory.mktemp('scripts'))
    (config.parent / 'dying.py').write_text(DIES)
    return config


def start(script: str, *arguments, **variables) -> subprocess.Popen:
    """Run a script of tools/ with this Python, in a group of processes of its own."""
    path = f'{Path(sys.executable).parent}:{os.environ["PATH"]}'
    environment = {**os.environ, 'PATH': path, 'CUDA_VISIBLE_DEVICES': '-1', 'OMP_NUM_THREADS': '1', **variables}
    environment = {key: value for key, value in environment.items() if value is not None}
    return subprocess.Popen(['bash', f'tools/{script}', *map(str, arguments)], cwd=ROOT, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment)


def weights(folder) -> dict:
    return torch.load(folder / 'iter_2.pth', weights_only=False)['state_dict']


def test_two_nodes_train_as_one_machine_does(project, tmp_path):
    port = str(free_port())
    nodes = [start('dist_train.sh', project, 1, '--work-dir', tmp_path / 'nodes', NNODES='2', NODE_RANK=str(node),
                   PORT=port, MASTER_ADDR='127.0.0.1') for node in (0, 1)]
    one = start('dist_train.sh', project, 2, '--work-dir', tmp_path / 'one', PORT=None)
    for process in (*nodes, one):
        text = process.communicate(timeout=300)[0]
        assert process.returncode == 0, text
    alone, spread = weights(tmp_path / 'one'), weights(tmp_path / 'nodes')
    assert all(torch.equal(alone[key], spread[key]) for key in alone)


@pytest.mark.parametrize('how', ['error', 'silence'])
def test_a_run_ends_with_a_worker_that_dies(project, tmp_path, how):
    config = project.parent / f'{how}.py'
    config.write_text(project.read_text().replace('custom_imports = None', "custom_imports = dict(imports=['dying'])")
                      .replace('max_iters=2, val_interval=2', 'max_iters=4000, val_interval=4000')
                      + f"custom_hooks = [dict(type='Dies', how={how!r})]\n")
    run = start('dist_train.sh', config, 2, '--work-dir', tmp_path, PORT=None, PYTHONPATH=str(project.parent))
    text = run.communicate(timeout=300)[0]
    assert run.returncode != 0 and time.time() - (tmp_path / 'died').stat().st_mtime < 60, text
    if how == 'error':
        assert 'Traceback' in text and 'RuntimeError: the disk is on fire' in text
    else:
        assert 'SIGKILL' in text


def test_a_port_in_use_is_named_at_once(project, tmp_path):
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        run = start('dist_train.sh', project, 2, '--work-dir', tmp_path, PORT=port)
        text = run.communicate(timeout=300)[0]
    assert run.returncode == 2
    assert text.startswith(f'port {port} is in use, perhaps by another run: choose another, as in PORT={int(port) + 1}')
