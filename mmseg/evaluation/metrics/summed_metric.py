"""Metrics of constant memory, exact for any number of processes."""
from __future__ import annotations

import logging
from abc import abstractmethod

import torch
from mmengine.dist import all_reduce, broadcast_object_list, get_dist_info
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from torch import Tensor


class SummedMetric(BaseMetric):
    """A metric that is computed from a sum of one tensor for each image.

    `results` holds at most two tensors: the sum of all images but the newest, and the newest. The newest is kept apart
    since a sampler may give some processes an image again at the end, to make their shares equal; it is dropped there.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._num_images = 0

    @abstractmethod
    def zeros(self) -> Tensor:
        """The sum of no images, on the CPU."""

    def add(self, figures: Tensor) -> None:
        """Count one image; `figures` is of the shape and type of :meth:`zeros`."""
        if len(self.results) == 2:
            self.results[0] = self.results[0] + self.results.pop()
        self.results.append(figures)
        self._num_images += 1

    def total(self, results: list) -> Tensor:
        """The sum of all entries of `results`; an entry may also be a tuple of its rows."""
        return sum((entry if torch.is_tensor(entry) else torch.stack(entry) for entry in results), self.zeros())

    def evaluate(self, size: int) -> dict[str, float]:
        """Metrics of all images of all processes; each image counts once.

        Args:
            size: number of images of the data set.
        """
        rank, world_size = get_dist_info()
        counts = torch.zeros(world_size, dtype=torch.int64)
        counts[rank] = max(self._num_images, len(self.results))
        all_reduce(counts)
        shares = torch.tensor([len(range(first, size, world_size)) for first in range(world_size)])
        padded = (counts > shares) & (counts.sum() > size) & (world_size > 1)
        if padded[rank]:
            self.results.pop()
        total = self.total(self.results)
        all_reduce(total)

        metrics = [None]
        if rank == 0:
            counted = int((counts - padded.long()).sum())
            if counted not in (0, size):  # none: predictions were only written to files
                print_log(f'{counted} images were evaluated, but the data set has {size}', 'current', logging.WARNING)
            metrics = [self.compute_metrics([total])]
            if self.prefix:
                metrics = [{f'{self.prefix}/{name}': value for name, value in metrics[0].items()}]
        broadcast_object_list(metrics)
        self.results.clear()
        self._num_images = 0
        return metrics[0]
