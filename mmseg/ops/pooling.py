"""Adaptive pooling in operations that every exporter knows, for sizes that need not be known when a graph is made.

Window i of `cells` over `side` pixels begins at floor(i side / cells) and ends before ceil((i + 1) side / cells), as in
PyTorch, whose own functions are faster where nothing is exported.
"""
from __future__ import annotations

from collections.abc import Sequence

import torch


def adaptive_avg_pool2d(x: torch.Tensor, cells: int | Sequence[int | None]) -> torch.Tensor:
    """Mean over each of `cells` windows, (N, C, H, W) -> (N, C, h, w), as two products with matrices of 0 and 1.

    Equal to `torch.nn.functional.adaptive_avg_pool2d`, bit for bit where the sums are exact; elsewhere sums of floating
    point are rounded in another order. Time is O(N C H W (h + w)).
    """
    rows, columns = _pair(cells)
    if (rows, columns) == (1, 1):
        return x.mean((-2, -1), keepdim=True)
    if rows is not None:
        member, count = _members(x, x.shape[-2], rows)
        x = member @ x / count[:, None]
    if columns is not None:
        member, count = _members(x, x.shape[-1], columns)
        x = x @ member.t() / count
    return x


def adaptive_max_pool2d(x: torch.Tensor, cells: int | Sequence[int | None]) -> torch.Tensor:
    """Largest value of each of `cells` windows, (N, C, H, W) -> (N, C, h, w), bit for bit PyTorch's.

    The pixels of each window are gathered, the last one as often as the longest window needs.
    """
    rows, columns = _pair(cells)
    if rows is not None:
        x = x[..., _gathered(x, x.shape[-2], rows), :].amax(-2)
    if columns is not None:
        x = x[..., _gathered(x, x.shape[-1], columns)].amax(-1)
    return x


def window_means(x: torch.Tensor, window: Sequence[int], stride: Sequence[int]) -> torch.Tensor:
    """`torch.nn.functional.avg_pool2d` without padding for windows whose size may follow from the image's."""
    for axis, size, step in zip((-2, -1), window, stride):
        side = x.shape[axis]
        starts = torch.arange((side - size) // step + 1, device=x.device)[:, None] * step
        member = _between(x, side, starts, starts + size)
        x = (member @ x if axis == -2 else x @ member.t()) / size
    return x


def _pair(cells: int | Sequence[int | None]) -> tuple[int | None, int | None]:
    return tuple(cells) if isinstance(cells, Sequence) else (cells, cells)


def _bounds(side: int, cells: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """First pixel of each window, and the one after its last."""
    index = torch.arange(cells, device=device)
    return index * side // cells, ((index + 1) * side + cells - 1) // cells


def _between(x: torch.Tensor, side: int, starts: torch.Tensor, stops: torch.Tensor) -> torch.Tensor:
    """1 for each pixel inside a window, 0 elsewhere: bounds (cells, 1) -> (cells, side), of the type of `x`."""
    pixel = torch.arange(side, device=x.device)
    return ((pixel >= starts) & (pixel < stops)).to(x.dtype)


def _members(x: torch.Tensor, side: int, cells: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Which pixels each window has, (cells, side), and how many, (cells)."""
    starts, stops = _bounds(side, cells, x.device)
    return _between(x, side, starts[:, None], stops[:, None]), (stops - starts).to(x.dtype)


def _gathered(x: torch.Tensor, side: int, cells: int) -> torch.Tensor:
    """The pixels of each window, (cells, longest), int64."""
    starts, stops = _bounds(side, cells, x.device)
    longest = (side + cells - 1) // cells + 1
    return torch.minimum(starts[:, None] + torch.arange(longest, device=x.device), stops[:, None] - 1)
