"""The work of a converter: check, convert in several processes, count."""
from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import signal
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from pathlib import Path

from mmseg.datasets.converters.archives import Scratch
from mmseg.datasets.converters.rules import Converter, Count, Plan
from mmseg.datasets.converters.tasks import Pieces, Task, execute
from mmseg.utils.atomic import remove_unfinished, write_text
from mmseg.utils.errors import InputError
from mmseg.utils.io import list_files, nearest_folder

_BATCH = 8  # tasks that travel to a process together


def convert(converter: Converter, args: argparse.Namespace) -> None:
    """Carry out a command line and print what is there afterwards.

    Raises:
        InputError: files are missing, damaged or double, or there is too little room.
    """
    paths = converter.paths_of(args)
    with Scratch(args.tmp_dir or nearest_folder(converter.output(args, paths)), args.dataset) as scratch:
        plan = converter.plan(args, scratch)
        counts = converter.counts if plan.counts is None else plan.counts
        if not args.partial:
            check_sources(plan, counts, converter.expects)
        pending = [task for task in plan.tasks if not task.is_done()]
        if not args.no_disk_check:
            check_room(pending, plan.out_dir)
        for folder in {os.path.dirname(task.target) for task in plan.tasks}:
            os.makedirs(folder, exist_ok=True)
            remove_unfinished(folder)
        done = len(plan.tasks) - len(pending)
        print(f'{plan.out_dir}: {len(pending):,} files to convert' + (f', {done:,} are done already' if done else ''))
        written = sum(carry_out(pending, args.nproc))
    for path, lines in plan.texts.items():
        os.makedirs(os.path.dirname(path), exist_ok=True)
        write_text(''.join(f'{line}\n' for line in lines), path)
    if hasattr(os, 'sync'):
        os.sync()  # files were not waited for one by one
    print(f'{written:,} files written')
    for line in report(plan, counts):
        print(line)


def check_sources(plan: Plan, counts: Iterable[Count], expects: str) -> None:
    """Check that there is something for every folder of the output that needs it."""
    missing = [count for count in counts if not (count.optional or _has_files(plan, count))]
    if not missing:
        return
    folders = ', '.join(count.folder + (f' (*{count.suffix})' if count.suffix else '') for count in missing)
    sources = ', '.join(dict.fromkeys(count.source for count in missing if count.source))
    raise InputError(f'found nothing for {folders} of {plan.out_dir} among what was given'
                     f'{f"; expected {sources}" if sources else ""}. The converter takes {expects}. '
                     '--partial converts what there is')


def _has_files(plan: Plan, count: Count) -> bool:
    folder = os.path.join(plan.out_dir, count.folder)
    return (any(task.writes(folder, count.suffix) for task in plan.tasks)
            or os.path.isdir(folder) and bool(list_files(folder, count.suffix)))


def check_room(tasks: list[Task], folder: str) -> None:
    """Check, before anything is written, that the disk will hold it.

    Raises:
        InputError: it will not.
    """
    pieces = {os.path.dirname(task.target) for task in tasks if isinstance(task, Pieces)}
    there = sum(entry.stat().st_size for folder in pieces if os.path.isdir(folder) for entry in os.scandir(folder))
    needed = sum(int(task.source.size * task.growth) for task in tasks) - there
    place = nearest_folder(folder)
    free = shutil.disk_usage(place).free
    if needed > free:
        raise InputError(f'the converted files take about {_gigabytes(needed)} and {_gigabytes(free)} are free in '
                         f'{place}: free some space, write elsewhere (--out-dir), or go on at your risk '
                         '(--no-disk-check)')


def _gigabytes(size: int) -> str:
    return f'{size / 1e9:,.1f} GB' if size >= 1e8 else f'{size / 1e6:,.1f} MB'


def carry_out(tasks: list[Task], processes: int) -> Iterator[int]:
    """Carry out tasks and show how far they are; yield how many files each batch has written."""
    alone = processes < 2 or len(tasks) < 2
    size = 1 if alone or len(tasks) < 8 * processes * _BATCH else _BATCH
    batches = [tasks[start:start + size] for start in range(0, len(tasks), size)]
    return _shown(map(_run, batches) if alone else _in_processes(batches, min(processes, len(batches))), len(batches))


def _run(batch: list[Task]) -> int:
    return sum(map(execute, batch))


def _in_processes(batches: list[list[Task]], processes: int) -> Iterator[int]:
    """Run batches in processes of their own; a few wait in the queue, so that an error stops the rest."""
    # New processes rather than copies of this one, which may hold locks of threads that a copy does not have.
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context('spawn'), initializer=_ignore_interrupts)
    waiting = iter(batches)
    try:
        running = {pool.submit(_run, batch) for batch in islice(waiting, 3 * processes)}
        while running:
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            running |= {pool.submit(_run, batch) for batch in islice(waiting, len(finished))}
            for future in finished:
                yield future.result()
    except BrokenProcessPool as error:
        raise InputError(f'one of {processes} processes was ended from outside, perhaps for want of memory; what is '
                         'written stays: give the same command again with fewer processes (--nproc)') from error
    finally:
        pool.shutdown(cancel_futures=True)


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process tells the others to stop


def _shown(results: Iterable[int], total: int) -> Iterator[int]:
    """Pass results on under a bar, or, where the output is no terminal, a line for each tenth."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import track
        yield from track(results, 'Converting', total, console=Console(stderr=True))
        return
    for number, result in enumerate(results, 1):
        if number * 10 // total > (number - 1) * 10 // total:
            print(f'{number * 100 // total} % converted', file=sys.stderr, flush=True)
        yield result


def report(plan: Plan, counts: Iterable[Count]) -> Iterator[str]:
    """Say how many files there are, beside the published numbers, and which images have no labels."""
    whole = True
    for count in counts:
        folder = os.path.join(plan.out_dir, count.folder)
        names = list_files(folder, count.suffix) if os.path.isdir(folder) else []
        if not names and count.optional:
            continue
        verdict = 'files'
        if count.published is not None:
            difference = len(names) - count.published
            verdict = (f'of {count.published:,} files' if not difference else
                       f'files, {abs(difference):,} {"more" if difference > 0 else "fewer"} than the published '
                       f'{count.published:,}')
            whole &= not difference
        yield f'  {count.folder}{f" *{count.suffix}" if count.suffix else ""}: {len(names):,} {verdict}'
        for line in _unpaired(plan.out_dir, count, names):
            whole = False
            yield line
    for path, lines in plan.texts.items():
        yield f'  {os.path.relpath(path, plan.out_dir)}: {len(lines):,} lines'
    if not whole:
        yield ('  NOT as published: the archives are not complete, or the folder holds files of an earlier run with '
               'other options')


def _unpaired(out_dir: str, count: Count, labels: list[str]) -> Iterator[str]:
    """Name images without labels, and labels without images."""
    if count.images is None or not labels:
        return
    folder, suffix = count.images
    if not Path(out_dir, folder).is_dir():
        return
    images = {name.removesuffix(suffix) for name in list_files(os.path.join(out_dir, folder), suffix)}
    stems = {name.removesuffix(count.suffix or suffix) for name in labels}
    for alone, what in ((sorted(images - stems), 'images without labels'),
                        (sorted(stems - images), 'labels without images')):
        if alone and images:
            yield f'    {len(alone):,} {what}: {", ".join(alone[:3])}{", …" if len(alone) > 3 else ""}'
