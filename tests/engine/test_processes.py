"""Processes that do not come together, or do not stay together, say why and end."""
import os
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from mmseg.engine.processes import LaunchError, _first_node, _slurm_variables, join

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = textwrap.dedent('''
    import sys
    from mmseg.engine.processes import LaunchError, join
    try:
        join(sys.argv[1], join_timeout=float(sys.argv[2]))
    except LaunchError as error:
        sys.exit(f'LaunchError: {error}')
    import torch
    total = torch.tensor([torch.distributed.get_rank() + 1.0])
    torch.distributed.all_reduce(total)
    print('total', total.item(), torch.distributed.get_backend())
''')


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def start(ranks, world_size=2, port=None, patience=3, launcher='pytorch', **more) -> list[str]:
    """Start one process for each rank and return what each wrote."""
    port = str(port or free_port())
    base = {**os.environ, 'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': port, 'WORLD_SIZE': str(world_size),
            'OMP_NUM_THREADS': '1', 'CUDA_VISIBLE_DEVICES': '-1', 'PYTHONPATH': str(ROOT), **more}
    children = [subprocess.Popen([sys.executable, '-W', 'ignore', '-c', SCRIPT, launcher, str(patience)],
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                 env={**base, **(rank if isinstance(rank, dict) else
                                                 dict(RANK=str(rank), LOCAL_RANK=str(rank)))}) for rank in ranks]
    return [child.communicate(timeout=300)[0] for child in children]


def test_a_missing_rank_is_named():
    began = time.monotonic()
    first, second = start([0, 2], world_size=3)
    assert 'LaunchError: rank 1 of 3 did not come within 3 seconds' in first + second
    assert time.monotonic() - began < 60


def test_a_double_rank_is_named():
    for text in start([0, 1, 1], world_size=3, patience=20):
        assert 'LaunchError: rank 1 is there twice: ' in text or 'has lost rank 0' in text
        assert 'Give each process a RANK of its own, from 0 to 2' in text or 'has lost rank 0' in text


def test_a_port_in_use_is_named():
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        port = taken.getsockname()[1]
        text, = start([0], world_size=1, port=port)
    assert f'rank 0 cannot listen at 127.0.0.1:{port} (it is in use)' in text and 'PORT=29501' in text


def test_a_rank_without_a_first_one_is_told():
    text, = start([1])
    assert 'LaunchError: rank 1 finds nobody at 127.0.0.1:' in text


def test_slurm_starts_them_too():
    port = dict(MASTER_PORT='', SLURM_JOB_ID=str(free_port()), SLURM_NTASKS='2', SLURM_NODELIST='localhost',
                MASTER_ADDR='', WORLD_SIZE='')
    texts = start([dict(SLURM_PROCID=str(rank), SLURM_LOCALID=str(rank)) for rank in (0, 1)], launcher='slurm',
                  patience=20, **port)
    assert ['total 3.0 gloo' in text for text in texts] == [True, True]


@pytest.mark.parametrize('nodes, first', [
    ('gpu[03-05,9],big1', 'gpu03'), ('node7,node8', 'node7'), ('one', 'one'), ('rack[1,2]-n4', 'rack1')])
def test_the_first_node_of_a_list(monkeypatch, nodes, first):
    monkeypatch.setenv('SLURM_STEP_NODELIST', nodes)
    monkeypatch.setattr('shutil.which', lambda name: None)
    assert _first_node() == first


def test_what_the_launcher_should_have_set_is_named(monkeypatch):
    for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT', 'SLURM_PROCID', 'SLURM_NTASKS'):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(LaunchError, match='needs RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT in the'):
        join('pytorch')
    with pytest.raises(LaunchError, match='needs SLURM_PROCID, SLURM_NTASKS in the environment'):
        join('slurm')
    for name, value in dict(RANK=5, WORLD_SIZE=4, LOCAL_RANK=1, MASTER_ADDR='x', MASTER_PORT=1).items():
        monkeypatch.setenv(name, str(value))
    with pytest.raises(LaunchError, match='found RANK=5 with WORLD_SIZE=4, expected a rank of 0 to 3'):
        join('pytorch')


def test_slurms_variables(monkeypatch):
    for name, value in dict(SLURM_PROCID=3, SLURM_NTASKS=8, SLURM_LOCALID=1, MASTER_ADDR='here', SLURM_JOB_ID=31,
                            MASTER_PORT='').items():
        monkeypatch.setenv(name, str(value))
    assert _slurm_variables(None) == dict(RANK='3', WORLD_SIZE='8', LOCAL_RANK='1', MASTER_ADDR='here',
                                          MASTER_PORT='15031')
    assert _slurm_variables(4000)['MASTER_PORT'] == '4000'
