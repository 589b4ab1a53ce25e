"""Attention patterns of single papers, as functions of tensors."""
from __future__ import annotations

import torch


def criss_cross_attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Let each place gather from its own row and column (CCNet, https://arxiv.org/abs/1811.11721).

    The place itself counts once, in its row. Time is O(H W (H + W) (C' + C)) and memory O(H W (H + W)) besides input
    and output, where attention to all places takes O((H W)^2 (C' + C)) and O((H W)^2).

    Args:
        query, key: (B, C', H, W).
        value: (B, C, H, W).

    Returns:
        (B, C, H, W).
    """
    height, width = query.shape[2:]
    column = torch.einsum('bchw,bcyw->bhwy', query, key)
    itself = torch.eye(height, dtype=torch.bool, device=query.device)[:, None]  # h 1 y
    column = column.masked_fill(itself, float('-inf'))
    row = torch.einsum('bchw,bchx->bhwx', query, key)
    column, row = torch.cat([column, row], dim=-1).softmax(-1).to(value.dtype).split([height, width], dim=-1)
    return torch.einsum('bcyw,bhwy->bchw', value, column) + torch.einsum('bchx,bhwx->bchw', value, row)


def psa_mask(mask: torch.Tensor, mask_size: tuple[int, int]) -> torch.Tensor:
    """Move attention predicted around each place to absolute places (PSANet, ECCV 2018, section 3.3).

    Time and memory are O((H W)^2) for each image, those of the result, whatever M and N; a table of places takes as
    many integers once for the batch.

    Args:
        mask: (B, M N, H, W), for each place the weights of the M x N places around it; an even M or N reaches one
            place further towards the end than towards the beginning.
        mask_size: (M, N).

    Returns:
        (B, H W, H W): what place j (last axis) takes from place i, zero where i lies outside the mask of j. It is the
        way of *collecting*; its transpose is the way of *distributing*.
    """
    tall, wide = mask_size
    height, width = mask.shape[2:]
    if mask.shape[1] != tall * wide:
        raise ValueError(f'mask_size {tall} x {wide} needs {tall * wide} channels, found {mask.shape[1]}')
    dy, inside_y = _offsets(height, tall, mask.device)
    dx, inside_x = _offsets(width, wide, mask.device)
    places = height * width
    channel = (dy[:, None, :, None] * wide + dx[None, :, None, :]).reshape(1, places, places)
    outside = ~(inside_y[:, None, :, None] & inside_x[None, :, None, :]).reshape(places, places)
    return mask.flatten(2).gather(1, channel.expand(len(mask), -1, -1)).masked_fill(outside, 0)


def _offsets(size: int, window: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Where place i lies in the window around place j, (size, size), clamped to it, and whether it does."""
    place = torch.arange(size, device=device)
    offset = place[:, None] - place[None] + (window - 1) // 2
    return offset.clamp(0, window - 1), (offset >= 0) & (offset < window)
