"""Sliding windows: where they lie, and how many of them cover each pixel."""
from __future__ import annotations

import torch


def _starts(length: int, window: int, stride: int) -> list[int]:
    """Left ends of the fewest windows at most `stride` apart that cover `length`; the last one ends at the border."""
    last = max(length - window, 0)
    return [min(i * stride, last) for i in range(-(-last // stride) + 1)]


def _check(window: tuple[int, int], stride: tuple[int, int]) -> None:
    if min(stride) < 1 or any(s > w for s, w in zip(stride, window)):
        raise ValueError(f'slide mode needs 1 <= stride <= crop_size, or pixels are left out: found stride {stride} '
                         f'and crop_size {window}; change them in model.test_cfg')


def window_grid(size: tuple[int, int], window: tuple[int, int],
                stride: tuple[int, int]) -> list[tuple[int, int, int, int]]:
    """List the windows over an image, row by row, as (top, bottom, left, right) in pixels.

    All have one size: `window`, or the image's where that is smaller. The last of a row or column is moved inside.
    """
    _check(window, stride)
    (height, width), (tall, wide) = size, window
    return [(top, min(top + tall, height), left, min(left + wide, width))
            for top in _starts(height, tall, stride[0]) for left in _starts(width, wide, stride[1])]


def window_counts(size: tuple[int, int], window: tuple[int, int],
                  stride: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Count the windows over each row (H, 1) and each column (1, W); their product is the number over each pixel."""
    _check(window, stride)
    counts = []
    for length, side, step in zip(size, window, stride):
        count = torch.zeros(length)
        for start in _starts(length, side, step):
            count[start:start + side] += 1
        counts.append(count)
    return counts[0][:, None], counts[1][None, :]
