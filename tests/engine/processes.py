"""Run a function in several processes that talk to one another, as torchrun starts them."""
from __future__ import annotations

import multiprocessing
import os
import socket
import traceback

import torch


def in_processes(number: int, function, *arguments) -> list:
    """Return what `function(*arguments)` returned in each of `number` processes, by rank."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    context = multiprocessing.get_context('fork')
    answers = context.Queue()
    children = [context.Process(target=_child, args=(rank, number, port, answers, function, arguments))
                for rank in range(number)]
    for child in children:
        child.start()
    found = dict(answers.get(timeout=300) for _ in children)
    for child in children:
        child.join()
    failures = [answer for answer in found.values() if isinstance(answer, str) and answer.startswith('Traceback')]
    if failures:
        raise AssertionError('\n'.join(failures))
    return [found[rank] for rank in range(number)]


def _child(rank: int, number: int, port: int, answers, function, arguments) -> None:
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(number), MASTER_ADDR='127.0.0.1',
                      MASTER_PORT=str(port))
    torch.set_num_threads(1)
    try:
        answers.put((rank, function(*arguments)))
    except BaseException:
        answers.put((rank, traceback.format_exc()))
