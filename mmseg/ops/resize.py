"""Interpolation of feature maps and logits."""
from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
import torch.nn.functional as F


def resize(input: torch.Tensor,
           size: Sequence[int] | int | None = None,
           scale_factor: float | Sequence[float] | None = None,
           mode: str = 'nearest',
           align_corners: bool | None = None,
           warning: bool = True) -> torch.Tensor:
    """Interpolate (N, C, h, w) to `size` or by `scale_factor`; an input that has the size already is returned as it is.

    With `align_corners` the sizes should be k * stride + 1, or the outermost samples of input and output do not fall
    on each other; `warning` tells so.
    """
    if size is not None:
        source = tuple(input.shape[2:])
        size = tuple(map(_side, size)) if isinstance(size, Sequence) else _side(size)
        if _same(source, size):
            return input
        if warning and align_corners and isinstance(size, tuple) and not any(map(_is_open, source + size)):
            _warn_unaligned(source, size)
    return F.interpolate(input, size, scale_factor, mode, align_corners)


def _is_open(side: int | torch.SymInt | torch.Tensor) -> bool:
    """Whether an export leaves a side open: it then stands for numbers that come later."""
    return isinstance(side, torch.SymInt) or torch.jit.is_tracing() and isinstance(side, torch.Tensor)


def _side(side: int | torch.SymInt | torch.Tensor) -> int | torch.SymInt | torch.Tensor:
    return side if _is_open(side) else int(side)


def _same(source: tuple, size: tuple | int) -> bool:
    """Whether two sizes are equal; of open ones, whether they are whatever comes."""
    if isinstance(size, tuple) and len(size) == len(source) and any(isinstance(s, torch.SymInt) for s in source + size):
        from torch.fx.experimental.symbolic_shapes import statically_known_true
        return all(statically_known_true(a == b) for a, b in zip(source, size))
    return source == size


def _warn_unaligned(source: tuple[int, ...], target: tuple[int, ...]) -> None:
    enlarged = any(t > s for s, t in zip(source, target))
    if enlarged and all(s > 1 for s in source) and any((t - 1) % (s - 1) for s, t in zip(source, target)):
        warnings.warn(f'align_corners=True resizes {source} to {target}: corners fall on pixels only where '
                      'out - 1 is a multiple of in - 1, so choose input sizes of the form stride * k + 1', stacklevel=3)
