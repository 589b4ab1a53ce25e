"""The processes of a run find one another, or say within a minute which is missing, doubled or shut out.

torchrun and Slurm start them; on GPUs they talk through NCCL, without any through gloo.
"""
from __future__ import annotations

import datetime
import os
import re
import shutil
import socket
import subprocess
import time

import torch
from mmengine.device import get_device
from mmengine.logging import print_log
from torch import distributed

from mmseg.utils.errors import InputError

WANTED = ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT')
PATIENCE = 60  # seconds


class LaunchError(InputError):
    """The processes of a run do not come together."""


def joins(launcher: str, backend: str | None, init_backend: str = 'torch') -> bool:
    """Whether :func:`join` brings these processes together; mmengine knows MPI, DeepSpeed and rarer devices."""
    return (launcher in ('pytorch', 'slurm') and init_backend == 'torch' and not distributed.is_initialized()
            and get_device() in ('cpu', 'cuda') and backend in (None, 'nccl', 'gloo'))


def join(launcher: str, backend: str | None = None, timeout: float | None = None, port: int | None = None,
         join_timeout: float = PATIENCE, init_backend: str = 'torch', **options) -> None:
    """Let this process join the others of its run.

    Args:
        launcher: `pytorch`, that is torchrun, or `slurm`.
        backend: what they talk through on GPUs, NCCL by default; without a GPU it is gloo.
        timeout: seconds that one operation between processes may take.
        port: port of rank 0 under Slurm, instead of MASTER_PORT or one made of the number of the job.
        join_timeout: seconds to wait for the next of the missing processes.
        options: of `torch.distributed.init_process_group`.

    Raises:
        LaunchError: a rank is missing or there twice, the port is in use, or there are more processes than GPUs.
    """
    if launcher == 'slurm':
        os.environ.update(_slurm_variables(port))
    rank, world_size = _place(launcher)
    if get_device() == 'cpu':
        backend = 'gloo'
    else:
        _choose_gpu(int(os.environ['LOCAL_RANK']))
    store = _call_roll(rank, world_size, join_timeout)
    if timeout is not None:
        options['timeout'] = datetime.timedelta(seconds=timeout)
    distributed.init_process_group(backend or 'nccl', store=store, rank=rank, world_size=world_size, **options)


def _place(launcher: str) -> tuple[int, int]:
    missing = [name for name in WANTED if not os.environ.get(name)]
    if missing:
        raise LaunchError(f'launcher {launcher!r} needs {", ".join(missing)} in the environment: start with '
                          '`bash tools/dist_train.sh CONFIG 4`, torchrun or srun, or without --launcher')
    rank, world_size = int(os.environ['RANK']), int(os.environ['WORLD_SIZE'])
    if not 0 <= rank < world_size:
        raise LaunchError(f'found RANK={rank} with WORLD_SIZE={world_size}, expected a rank of 0 to {world_size - 1}')
    return rank, world_size


def _slurm_variables(port: int | None) -> dict[str, str]:
    """What torchrun would have set, of what Slurm sets."""
    missing = [name for name in ('SLURM_PROCID', 'SLURM_NTASKS') if name not in os.environ]
    if missing:
        raise LaunchError(f"launcher 'slurm' needs {', '.join(missing)} in the environment: start with srun or "
                          'tools/slurm_train.sh')
    rank = os.environ['SLURM_PROCID']
    return dict(RANK=rank, WORLD_SIZE=os.environ['SLURM_NTASKS'], LOCAL_RANK=os.environ.get('SLURM_LOCALID', rank),
                MASTER_ADDR=os.environ.get('MASTER_ADDR') or _first_node(),
                MASTER_PORT=str(port or os.environ.get('MASTER_PORT') or _port_of_job()))


def _port_of_job() -> int:
    """A port that jobs which share a machine are unlikely to share."""
    return 15000 + int(os.environ.get('SLURM_JOB_ID', 0)) % 15000


def _first_node() -> str:
    nodes = os.environ.get('SLURM_STEP_NODELIST') or os.environ.get('SLURM_NODELIST') or 'localhost'
    if shutil.which('scontrol'):
        listed = subprocess.run(['scontrol', 'show', 'hostnames', nodes], capture_output=True, text=True)
        if listed.returncode == 0 and listed.stdout.strip():
            return listed.stdout.split()[0]
    # `gpu[03-05,9],big1` without Slurm's own tool: gpu03
    return re.sub(r'\[(\w+).*', r'\1', nodes) if '[' in nodes.partition(',')[0] else nodes.partition(',')[0]


def _choose_gpu(local_rank: int) -> None:
    count = torch.cuda.device_count()
    if local_rank >= count:
        raise LaunchError(f'process {local_rank + 1} of this machine finds {count} GPUs: start {count} processes, or '
                          'set CUDA_VISIBLE_DEVICES=-1 to use the CPU')
    torch.cuda.set_device(local_rank)


def _call_roll(rank: int, world_size: int, patience: float) -> distributed.Store:
    """Return the store of the run once every rank has been seen in it exactly once."""
    store = _open_store(rank, world_size, patience)
    me = f'{socket.gethostname()}, process {os.getpid()}'
    try:
        if store.add(f'count of {rank}', 1) > 1:
            store.set('twice', f'rank {rank} is there twice: {store.get(f"rank {rank}").decode()}, and {me}')
        else:
            store.set(f'rank {rank}', me)
        _await(list(range(world_size)), rank, store, patience)
    except distributed.DistNetworkError as error:
        raise LaunchError(f'rank {rank} has lost rank 0, which keeps the list of the processes: see its message'
                          ) from error
    store.set_timeout(distributed.default_pg_timeout)
    return distributed.PrefixStore('after the roll call', store)


def _await(absent: list[int], rank: int, store: distributed.Store, patience: float) -> None:
    world_size, last, told = len(absent), time.monotonic(), False
    while absent:
        if store.check(['twice']):
            raise LaunchError(f'{store.get("twice").decode()}. Give each process a RANK of its own, from 0 to '
                              f'{world_size - 1}')
        still = [other for other in absent if not store.check([f'rank {other}'])]
        waited = time.monotonic() - last
        if len(still) < len(absent):
            absent, last = still, time.monotonic()
        elif waited > patience:
            raise LaunchError(f'rank {_some(absent)} of {world_size} did not come within {patience:g} seconds: start '
                              'as many processes as WORLD_SIZE says, or give a longer env_cfg.dist_cfg.join_timeout')
        elif waited > 10 and not told:
            print_log(f'rank {rank} waits for rank {_some(absent)} of {world_size}', logger='current')
            told = True
        else:
            time.sleep(0.05)


def _open_store(rank: int, world_size: int, patience: float) -> distributed.Store:
    address, port = os.environ['MASTER_ADDR'], int(os.environ['MASTER_PORT'])
    of_torchrun = os.environ.get('TORCHELASTIC_USE_AGENT_STORE') == 'True'
    holds = rank == 0 and not of_torchrun
    try:
        store = distributed.TCPStore(address, port, world_size, is_master=holds, wait_for_workers=False,
                                     timeout=datetime.timedelta(seconds=max(patience, 1)))
    except distributed.DistNetworkError as error:
        if holds:
            raise LaunchError(f'rank 0 cannot listen at {address}:{port} ({_reason(error)}): another run or a second '
                              'rank 0 may use the port; set another, as in PORT=29501 bash tools/dist_train.sh …'
                              ) from error
        raise LaunchError(f'rank {rank} finds nobody at {address}:{port} ({_reason(error)}): rank 0 must run there, '
                          'with the same MASTER_ADDR and MASTER_PORT') from error
    attempt = os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')
    return distributed.PrefixStore(f'mmseg {attempt}', store)


def _reason(error: Exception) -> str:
    text = str(error).strip().splitlines()[0]
    return 'it is in use' if 'EADDRINUSE' in text else text[:200]


def _some(ranks: list[int]) -> str:
    return ', '.join(map(str, ranks[:8])) + (' …' if len(ranks) > 8 else '')
