"""The mean logits of overlapping windows, and labels from them, in bounded memory."""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from mmseg.ops.cells import neighbours
from mmseg.ops.labels import FLIPPED_AXES, Geometry, logits_to_labels, restore_logits

Window = tuple[int, int, int, int]
# Rows that are put together at a time, and columns that one product of matrices enlarges: measured on two CPU cores.
_ROWS = 64
_COLUMNS = 64


@dataclass(frozen=True)
class WindowLogits:
    """Logits of windows at the network's own stride; what an image gets is the mean over the windows at each pixel.

    Windows one below the other are enlarged in height and summed before the sums are enlarged in width, a strip of rows
    at a time: so few numbers are touched, and those of the whole image exist only where they are asked for.

    Args:
        logits: (n, N, C, h, w) of n windows over N images, or (n, C, h, w) over one.
        windows: (top, bottom, left, right) of each, all of one size, in pixels of `size`.
        counts: how many windows lie over each row, (H, 1), and over each column, (1, W).
        align_corners: as the head enlarges.
        threshold: for the probability of a single class.
    """

    logits: torch.Tensor
    windows: Sequence[Window]
    counts: tuple[torch.Tensor, torch.Tensor]
    align_corners: bool = False
    threshold: float | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the image."""
        return len(self.counts[0]), self.counts[1].shape[1]

    def __iter__(self) -> Iterator[WindowLogits]:
        for logits in self.logits.unbind(1):
            yield WindowLogits(logits, self.windows, self.counts, self.align_corners, self.threshold)

    def mean(self) -> torch.Tensor:
        """The logits of one image at the size of the network's input, (C, H, W)."""
        out = self.logits.new_empty((self.logits.shape[1], *self.size))
        for start, stop, sums in self._strips():
            out[:, start:stop] = sums
        return out.div_(self.counts[0] * self.counts[1])

    def restore(self, geometry: Geometry) -> torch.Tensor:
        """The logits of one image at its original size, (C, H, W)."""
        return restore_logits(self.mean(), geometry)

    def labels(self, geometry: Geometry) -> torch.Tensor:
        """The class of each pixel of one image at its original size, (1, H, W), int64."""
        left, right, top, bottom = geometry.padding
        height, width = self.size
        unpadded = (height - top - bottom, width - left - right)
        if self.logits.shape[1] == 1 or geometry.ori_shape not in (None, unpadded):
            return logits_to_labels(self.mean(), geometry, self.threshold)
        label = torch.empty(self.size, dtype=torch.long, device=self.logits.device)
        for start, stop, sums in self._strips():
            label[start:stop] = sums.max(0).indices  # the largest sum is the largest mean
        return label[None, top:height - bottom, left:width - right].flip(FLIPPED_AXES[geometry.flip])

    def _strips(self) -> Iterator[tuple[int, int, torch.Tensor]]:
        """Yield first row, row after the last, and the sum of the windows there, (C, rows, W); it is used again."""
        height, width = self.size
        classes, low = self.logits.shape[1], self.logits.shape[3]
        top, bottom, left, right = self.windows[0]
        like = dict(dtype=torch.float32, device=self.logits.device)
        pieces = _pieces(low, right - left, self.align_corners, like)
        before, after, weight = (row.to(self.logits.device)
                                 for row in neighbours(self.logits.shape[2], bottom - top, self.align_corners))
        columns = defaultdict(list)
        for logits, (top, bottom, left, _) in zip(self.logits.float(), self.windows):
            columns[left].append((top, bottom, logits))
        with torch.autocast(self.logits.device.type, enabled=False):
            for start in range(0, height, _ROWS):
                stop = min(start + _ROWS, height)
                sums = torch.zeros(classes, stop - start, width, **like)
                for left, column in columns.items():
                    rows = torch.zeros(classes, stop - start, low, **like)
                    for top, bottom, logits in column:
                        first, last = max(start, top), min(stop, bottom)
                        if first < last:
                            inside = slice(first - top, last - top)
                            rows[:, first - start:last - start] += logits[:, before[inside]].lerp(
                                logits[:, after[inside]], weight[inside, None])
                    for target, source, matrix in pieces:
                        sums.flatten(0, 1)[:, left + target.start:left + target.stop].addmm_(
                            rows.flatten(0, 1)[:, source], matrix)
                yield start, stop, sums


def _pieces(source: int, target: int, align_corners: bool, like: dict) -> list[tuple[slice, slice, torch.Tensor]]:
    """Cut the enlargement of a row from `source` to `target` columns: which columns, from which, by which matrix."""
    before, after, weight = neighbours(source, target, align_corners)
    matrix = torch.zeros(source, target)
    matrix[before, torch.arange(target)] += 1 - weight
    matrix[after, torch.arange(target)] += weight
    pieces = []
    for start in range(0, target, _COLUMNS):
        part = slice(start, min(start + _COLUMNS, target))
        needed = slice(int(before[part][0]), int(after[part][-1]) + 1)
        pieces.append((part, needed, matrix[needed, part].to(**like)))
    return pieces
