"""Average the logits of overlapping windows over a raster that is much larger than memory."""
from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

import numpy as np
import torch

from mmseg.utils.errors import InputError


def even_starts(length: int, window: int, stride: int) -> list[int]:
    """Left ends of the fewest windows, evenly spread and at most `stride` apart, that cover `length`.

    Raises:
        InputError: the stride is longer than the window, or not positive.
    """
    if not 0 < stride <= window:
        raise InputError(f'windows need 0 < stride <= window size, or pixels are left out; found {stride} and {window}')
    last = max(length - window, 0)
    steps = -(-last // stride)
    return [round(i * last / steps) for i in range(steps + 1)] if steps else [0]


def axis_weights(starts: list[int], window: int, length: int) -> list[torch.Tensor]:
    """Weights of windows along an axis, each (window,): they fall linearly to its ends and sum to 1 at every pixel."""
    ramp = torch.arange(1., window + 1)
    ramp = torch.minimum(ramp, ramp.flip(0))
    total = torch.zeros(length)
    for start in starts:
        total[start:start + window] += ramp
    return [ramp / total[start:start + window] for start in starts]


class Blender:
    """Joins windows of logits, which come row by row, into strips of labels that are finished.

    Held between two rows of windows are the logits of the pixels that both cover, and no more:
    classes x overlap x width x 4 bytes.

    Args:
        starts: upper and left ends of the windows, `(tops, lefts)`.
        window: their height and width.
        size: height and width of the raster.
        threshold: above which the probability of a single channel is class 1.
    """

    def __init__(self, starts: tuple[list[int], list[int]], window: tuple[int, int], size: tuple[int, int],
                 threshold: float | None = None):
        (self.tops, self.lefts), self.window, self.size, self.threshold = starts, window, size, threshold
        weights = [dict(zip(first, axis_weights(first, *sides))) for first, *sides in zip(starts, window, size)]
        self._down, self._across = weights
        self._next_top = dict(zip(self.tops, [*self.tops[1:], size[0]]))
        self._next_left = dict(zip(self.lefts, [*self.lefts[1:], size[1]]))

    @property
    def _overlap(self) -> int:
        """Most rows that two rows of windows share."""
        return max((top + self.window[0] - self._next_top[top] for top in self.tops), default=0)

    def strips(self, windows: Iterable[tuple[tuple[int, int], torch.Tensor]]) -> Iterator[tuple[int, np.ndarray]]:
        """Take `((top, left), logits (C, h, w))` of every window from some row on and yield `top, labels (rows, W)`.

        Strips of which earlier rows of windows are missing are not right: those above the second row's overlap.
        """
        shared, kept = None, 0  # C overlap W, of which the first `kept` rows hold logits
        for top, row in groupby(windows, key=lambda item: item[0][0]):
            done = self._next_top[top] - top
            labels = np.empty((done, self.size[1]), np.uint16)
            beside = None  # C h overlap
            for (_, left), logits in row:
                block = logits.float() * (self._down[top][:, None] * self._across[left]).to(logits.device)
                if beside is not None:
                    block[:, :, :beside.shape[2]] += beside
                if shared is None:
                    shared = block.new_empty((len(block), self._overlap, self.size[1]))
                step = self._next_left[left] - left
                columns = slice(left, left + step)
                finished, beside = block[:, :, :step], block[:, :, step:].clone()
                finished[:, :kept] += shared[:, :kept, columns]
                shared[:, :self.window[0] - done, columns] = finished[:, done:]
                labels[:, columns] = self._labels(finished[:, :done]).cpu().numpy()
            kept = self.window[0] - done
            yield top, labels

    def _labels(self, logits: torch.Tensor) -> torch.Tensor:
        """(C, h, w) -> (h, w)."""
        return logits[0].sigmoid() > self.threshold if len(logits) == 1 else logits.argmax(0)
