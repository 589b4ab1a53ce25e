"""Interpolation as a function and as a module."""
from __future__ import annotations

import torch
from torch import nn

from mmseg.ops import resize

__all__ = ['Upsample', 'resize']


class Upsample(nn.Module):
    """:func:`mmseg.ops.resize` as a layer."""

    def __init__(self, size: int | tuple[int, int] | None = None, scale_factor: float | tuple[float, ...] | None = None,
                 mode: str = 'nearest', align_corners: bool | None = None):
        super().__init__()
        self.size = size
        self.scale_factor = tuple(map(float, scale_factor)) if isinstance(scale_factor, tuple) else scale_factor
        self.mode = mode
        self.align_corners = align_corners

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Enlarge (N, C, h, w) to (N, C, H, W)."""
        size = self.size
        if size is None and self.scale_factor is not None:
            factors = self.scale_factor if isinstance(self.scale_factor, tuple) else (self.scale_factor,) * 2
            size = tuple(side * int(factor) if factor == int(factor) else int(side * factor)
                         for side, factor in zip(x.shape[-2:], factors))
        return resize(x, size, None, self.mode, self.align_corners)
