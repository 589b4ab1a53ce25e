"""Examine samples on all cores, in their order, with few of them under way at a time.

A file that kills its reader (a decoder that crashes, a picture larger than the memory) takes a process with it: then
the samples that were under way are examined once more, each in a process of its own, and the one that kills again is
told.
"""
from __future__ import annotations

import multiprocessing
import os
import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice

import cv2

from mmseg.datasets.doctor.configured import Source, Split
from mmseg.datasets.doctor.reading import Finding, examine

SAMPLES_AT_ONCE = 8
CHUNKS_UNDER_WAY = 3  # for each process


def cores() -> int:
    """The number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


def chosen(total: int, limit: int | None) -> range | list[int]:
    """Indices of at most `limit` samples, spread evenly."""
    if limit is None or limit >= total:
        return range(total)
    return [index * total // limit for index in range(limit)]


def _chunks(split: Split, limit: int | None) -> Iterator[tuple[Source, list[dict]]]:
    """The samples of a split, a few at a time."""
    for source in split.sources:
        indices = iter(chosen(len(source.samples), limit))
        while chunk := [source.samples.get_data_info(index) for index in islice(indices, SAMPLES_AT_ONCE)]:
            yield source, chunk


def _examine_chunk(recipe, samples: list[dict], has_labels: bool) -> list[Finding]:
    return [examine(recipe, sample, has_labels) for sample in samples]


def _start_process() -> None:
    cv2.setNumThreads(0)


class _Workers:
    """A pool of processes that is renewed when one of them dies."""

    def __init__(self, count: int):
        self.count = count
        self.pool = self._new(count)

    @staticmethod
    def _new(count: int) -> ProcessPoolExecutor:
        # Where it is safe, processes begin as copies of this one: nothing is imported again.
        context = multiprocessing.get_context('fork' if sys.platform == 'linux' else 'spawn')
        return ProcessPoolExecutor(count, context, _start_process)

    def submit(self, source: Source, samples: list[dict]) -> Future:
        work = _examine_chunk, source.recipe, samples, source.has_labels
        try:
            return self.pool.submit(*work)
        except BrokenProcessPool:
            self.close()
            self.pool = self._new(self.count)
            return self.pool.submit(*work)

    def result(self, future: Future, source: Source, samples: list[dict]) -> list[Finding]:
        try:
            return future.result()
        except BrokenProcessPool:
            return [self._alone(source, sample) for sample in samples]

    def _alone(self, source: Source, sample: dict) -> Finding:
        with self._new(1) as pool:
            try:
                return pool.submit(_examine_chunk, source.recipe, [sample], source.has_labels).result()[0]
            except BrokenProcessPool:
                path = str(sample['img_path'])
                sentence = f'{path}: it, or its label {sample.get("seg_map_path")}, kills the process that reads it'
                return Finding(path, problems=[('unreadable image', sentence)])

    def close(self) -> None:
        self.pool.shutdown(wait=False, cancel_futures=True)


def examine_split(split: Split, workers: int, limit: int | None = None) -> Iterator[Finding]:
    """Yield the finding of each sample of a split, in order.

    Args:
        workers: processes; 0 reads in this one.
        limit: samples to look at of each data set, spread evenly; all of them without.
    """
    chunks = _chunks(split, limit)
    if not workers:
        for source, samples in chunks:
            yield from _examine_chunk(source.recipe, samples, source.has_labels)
        return
    pool = _Workers(workers)
    under_way: deque = deque()
    try:
        while True:
            for source, samples in islice(chunks, workers * CHUNKS_UNDER_WAY - len(under_way)):
                under_way.append((pool.submit(source, samples), source, samples))
            if not under_way:
                return
            yield from pool.result(*under_way.popleft())
    finally:
        pool.close()
