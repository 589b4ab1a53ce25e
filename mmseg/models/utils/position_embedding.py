"""Learned position embeddings at another size than they were learned for."""
from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F

from mmseg.ops.sizes import same_size


def resize_position_embedding(embedding: torch.Tensor, source: Sequence[int], target: Sequence[int],
                              mode: str = 'bicubic', align_corners: bool | None = False) -> torch.Tensor:
    """Interpolate the embedding of a grid of tokens; what stands before the grid, such as a class token, is kept.

    Args:
        embedding: (1, extra + h * w, C).
        source, target: heights and widths of the grids, in tokens.
        mode: of :func:`torch.nn.functional.interpolate`.

    Returns:
        (1, extra + H * W, C).
    """
    tokens = math.prod(source)
    extra = embedding.shape[1] - tokens
    if extra < 0:
        raise ValueError(f'a grid of {source[0]} x {source[1]} tokens needs {tokens} position embeddings, found '
                         f'{embedding.shape[1]}')
    if same_size(source, target):
        return embedding
    before, grid = embedding[:, :extra], embedding[:, extra:]
    grid = grid.transpose(1, 2).unflatten(2, tuple(source))  # 1 (h w) C -> 1 C h w
    grid = F.interpolate(grid, tuple(target), mode=mode, align_corners=None if mode == 'nearest' else align_corners)
    return torch.cat([before, grid.flatten(2).transpose(1, 2)], dim=1)


def fit_position_embedding(embedding: torch.Tensor, wanted: torch.Tensor, target: Sequence[int],
                           mode: str = 'bicubic') -> torch.Tensor:
    """Resize the embedding of a checkpoint, a square grid, to that of a model.

    Args:
        embedding: (1, extra + side * side, C), the same number of extra tokens as in `wanted`.
        wanted: the model's, (1, extra + H * W, C).
        target: the model's grid, (H, W).
    """
    if embedding.shape == wanted.shape:
        return embedding
    extra = wanted.shape[1] - math.prod(target)
    problem = _why_no_grid(embedding, wanted.shape[2], extra)
    if problem:
        raise ValueError(f'the position embedding {tuple(embedding.shape)} of the checkpoint cannot be resized to '
                         f'{tuple(wanted.shape)}: {problem}')
    side = math.isqrt(embedding.shape[1] - extra)
    return resize_position_embedding(embedding, (side, side), target, mode)


def _why_no_grid(embedding: torch.Tensor, channels: int, extra: int) -> str | None:
    """Say why an embedding is not that of a square grid with so many channels and tokens before it, if it is not."""
    if embedding.ndim != 3:
        return 'it has other axes than (1, tokens, channels)'
    _, tokens, theirs = embedding.shape
    if theirs != channels:
        return f'it has {theirs} channels and the model {channels}; set embed_dims={theirs}'
    fitting = [before for before in range(4) if tokens > before and math.isqrt(tokens - before)**2 == tokens - before]
    if extra in fitting:
        return None
    if fitting:
        side = math.isqrt(tokens - fitting[0])
        return (f'its {tokens} tokens are a grid of {side} x {side} and {fitting[0]} before it, where the model has '
                f'{extra}: it is of a network with other tokens than those of the class and the patches')
    return (f'of its {tokens} tokens, {extra} stand before the grid, and what remains is no square; set img_size to '
            'that of its training')


def fit_position_table(table: torch.Tensor, wanted: torch.Tensor, target: Sequence[int]) -> torch.Tensor:
    """Resize the relative position biases of a checkpoint, of a square window, to those of a model.

    Args:
        table: ((2 * side - 1)**2, heads).
        wanted: the model's, ((2 H - 1) (2 W - 1), heads).
        target: the model's window, (H, W).
    """
    if table.shape == wanted.shape:
        return table
    side = math.isqrt(table.shape[0])
    if table.ndim != 2 or side * side != table.shape[0] or table.shape[1] != wanted.shape[1]:
        raise ValueError(f'the relative position biases {tuple(table.shape)} of the checkpoint cannot be resized to '
                         f'{tuple(wanted.shape)}: they need {wanted.shape[1]} heads and a square window')
    return resize_position_embedding(table[None], (side, side), [2 * length - 1 for length in target])[0]
