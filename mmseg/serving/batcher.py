"""A queue in which images of one size find each other, and the one thread that runs the network."""
from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import torch

from mmseg.apis.pipeline import PIXELS_AT_ONCE


@dataclass
class _Job:
    item: dict
    read: Callable[[Any], Any]
    future: Future = field(default_factory=Future)
    arrived: float = field(default_factory=time.monotonic)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.item['inputs'].shape)


class Batcher:
    """Predicts prepared images, those of one size that wait at the same time together, the longest waiting first.

    While a batch is computed, the next one gathers; only an idle server makes an image wait for company.

    Args:
        predict: takes prepared images of one size and returns a sample of each; called in one thread only.
        max_batch: how many images may go together.
        max_wait: seconds that an image waits for company.
        max_pixels: and up to how many pixels together; a larger image goes alone.
        observe: told the size of every batch.
    """

    def __init__(self, predict: Callable[[list[dict]], Sequence], max_batch: int = 8, max_wait: float = 0.005,
                 max_pixels: int = PIXELS_AT_ONCE, observe: Callable[[int], None] = lambda size: None):
        self.predict, self.observe = predict, observe
        self.max_batch, self.max_wait, self.max_pixels = max_batch, max_wait, max_pixels
        self._waiting: list[_Job] = []
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name='model', daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        """How many images wait."""
        return len(self._waiting)

    @property
    def alive(self) -> bool:
        return self._thread.is_alive() and not self._closed

    def submit(self, item: dict, read: Callable[[Any], Any]) -> Future:
        """Put a prepared image into the queue.

        Args:
            item: from an `ImagePipeline`.
            read: takes what is wanted out of its sample; runs in the thread of the network.

        Returns:
            A future of what `read` returns. Cancelled before its turn, the image is passed over.
        """
        job = _Job(item, read)
        with self._changed:
            if not self.alive:
                raise RuntimeError('the thread of the network has ended')
            self._waiting.append(job)
            self._changed.notify()
        return job.future

    def close(self) -> None:
        """Finish what waits, then end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        torch.set_flush_denormal(True)  # holds for a thread, not for the process
        while batch := self._next_batch():
            self.observe(len(batch))
            self._finish(batch)
            del batch  # or its images stay until the next one comes

    def _next_batch(self) -> list[_Job]:
        """Wait for a batch and take it off the queue; empty when the queue is closed."""
        with self._changed:
            while True:
                self._waiting = [job for job in self._waiting if not job.future.cancelled()]
                batch, room = self._gather()
                patience = batch[0].arrived + self.max_wait - time.monotonic() if batch else None
                if self._closed or batch and (not room or patience <= 0):
                    break
                self._changed.wait(patience)
            taken = set(map(id, batch))
            self._waiting = [job for job in self._waiting if id(job) not in taken]
        started = [job for job in batch if job.future.set_running_or_notify_cancel()]
        return started if started or not batch else self._next_batch()

    def _gather(self) -> tuple[list[_Job], bool]:
        """Return the longest waiting image with others of its size, and whether more would fit."""
        if not self._waiting:
            return [], True
        shape = self._waiting[0].shape
        most = max(1, min(self.max_batch, self.max_pixels // max(1, shape[-1] * shape[-2])))
        batch = [job for job in self._waiting if job.shape == shape][:most]
        return batch, len(batch) < most

    def _finish(self, batch: list[_Job]) -> None:
        try:
            samples = self.predict([job.item for job in batch])
        except Exception as error:  # one image, or the memory that all take together: each gets its own answer
            if len(batch) == 1:
                batch[0].future.set_exception(error)
            else:
                for job in batch:
                    self._finish([job])
            return
        for job, sample in zip(batch, samples):
            try:
                job.future.set_result(job.read(sample))
            except Exception as error:  # the thread serves the others on
                job.future.set_exception(error)
