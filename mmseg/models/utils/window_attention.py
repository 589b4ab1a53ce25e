"""Attention within windows, with a learned bias for each relative position of two tokens (Swin, BEiT, MAE)."""
from __future__ import annotations

import torch
import torch.nn.functional as F


def relative_positions(height: int, width: int, with_cls_token: bool = False) -> torch.Tensor:
    """Number the relative positions of the tokens of a window, row by row: int64 (N, N), N = height * width.

    A class token comes first and adds three numbers after those of the window: from it to a token, from a token to it,
    and to itself.
    """
    y, x = (axis.flatten() for axis in torch.meshgrid(torch.arange(height), torch.arange(width), indexing='ij'))
    dy, dx = y[:, None] - y + height - 1, x[:, None] - x + width - 1
    index = dy * (2 * width - 1) + dx
    if not with_cls_token:
        return index
    positions = (2 * height - 1) * (2 * width - 1)
    index = F.pad(index, (1, 0, 1, 0))
    index[0], index[:, 0], index[0, 0] = positions, positions + 1, positions + 2
    return index


def position_bias(table: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Look up the bias of each pair of tokens: (positions, heads) and (N, N) -> (heads, N, N)."""
    return table[index.flatten()].unflatten(0, index.shape).permute(2, 0, 1)  # (N N) heads -> heads N N


def partition(x: torch.Tensor, window: int) -> torch.Tensor:
    """Cut a map into windows, row by row: (B, H, W, C) -> (B windows, window, window, C)."""
    x = x.unflatten(2, (-1, window)).unflatten(1, (-1, window))  # B (Y y) (X x) C -> B Y y X x C
    return x.transpose(2, 3).flatten(0, 2)


def unpartition(windows: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Put windows together again: (B windows, window, window, C) -> (B, H, W, C)."""
    window = windows.shape[1]
    x = windows.unflatten(0, (-1, height // window, width // window)).transpose(2, 3)  # B Y y X x C
    return x.flatten(3, 4).flatten(1, 2)


def pad_to_windows(x: torch.Tensor, window: int) -> torch.Tensor:
    """Pad a map (B, H, W, C) with zeros at its bottom and right, so that its sides are multiples of the window's."""
    down, right = (-(-side // window) * window - side for side in x.shape[1:3])
    return F.pad(x, (0, 0, 0, right, 0, down))


def within_region(regions: torch.Tensor, window: int) -> torch.Tensor:
    """Which tokens of a window may see each other: numbers of regions (H, W) -> booleans (windows, N, N)."""
    windows = partition(regions[None, :, :, None], window).flatten(1)  # windows N
    return windows[:, :, None] == windows[:, None]
