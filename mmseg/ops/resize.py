"""Interpolation of feature maps and logits."""
from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
import torch.nn.functional as F

from mmseg.ops.sizes import as_side, is_open, same_size


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
    if isinstance(size, Sequence):
        source, size = tuple(input.shape[2:]), tuple(map(as_side, size))
        if same_size(source, size):
            return input
        if warning and align_corners and not any(map(is_open, source + size)):
            _warn_unaligned(source, size)
    return F.interpolate(input, size if size is None or isinstance(size, tuple) else as_side(size), scale_factor, mode,
                         align_corners)


def _warn_unaligned(source: tuple[int, ...], target: tuple[int, ...]) -> None:
    enlarged = any(t > s for s, t in zip(source, target))
    if enlarged and all(s > 1 for s in source) and any((t - 1) % (s - 1) for s, t in zip(source, target)):
        warnings.warn(f'align_corners=True resizes {source} to {target}: corners fall on pixels only where '
                      'out - 1 is a multiple of in - 1, so choose input sizes of the form stride * k + 1', stacklevel=3)
