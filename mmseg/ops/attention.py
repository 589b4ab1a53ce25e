"""Attention patterns of single papers, as functions of tensors."""
from __future__ import annotations

import torch


def criss_cross_attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Let each place gather from its own row and column (CCNet, https://arxiv.org/abs/1811.11721).

    The place itself counts once, in its row. Time is O(H W (H + W) C), memory O(H W (H + W)), where full attention
    takes O((H W)^2).

    Args:
        query, key: (B, C', H, W).
        value: (B, C, H, W).

    Returns:
        (B, C, H, W).
    """
    height = query.shape[2]
    column = torch.einsum('bchw,bcyw->bhwy', query, key)
    itself = torch.eye(height, dtype=torch.bool, device=query.device)[:, None]  # h 1 y
    column = column.masked_fill(itself, float('-inf'))
    row = torch.einsum('bchw,bchx->bhwx', query, key)
    weight = torch.cat([column, row], dim=-1).softmax(-1)
    column, row = weight.split([height, query.shape[3]], dim=-1)
    return torch.einsum('bcyw,bhwy->bchw', value, column) + torch.einsum('bchx,bhwx->bchw', value, row)


def psa_mask(mask: torch.Tensor, mask_size: tuple[int, int]) -> torch.Tensor:
    """Move attention predicted around each place to absolute places (PSANet, ECCV 2018, section 3.3).

    Time and memory are O((H W)^2), those of the result.

    Args:
        mask: (B, M N, H, W), for each place the weights of the M x N places centred on it; M and N are odd.
        mask_size: (M, N).

    Returns:
        (B, H W, H W): what place j (last axis) takes from place i, zero where i lies outside the mask of j. It is the
        way of *collecting*; its transpose is the way of *distributing*.
    """
    height, width = mask.shape[2:]
    tall, wide = mask_size
    y, x = torch.arange(height, device=mask.device), torch.arange(width, device=mask.device)
    dy = y[:, None] - y[None] + (tall - 1) // 2  # from h -> to h
    dx = x[:, None] - x[None] + (wide - 1) // 2
    inside = ((dy >= 0) & (dy < tall))[:, None, :, None] & ((dx >= 0) & (dx < wide))[None, :, None, :]
    place = dy.clamp(0, tall - 1)[:, None, :, None] * wide + dx.clamp(0, wide - 1)[None, :, None, :]
    places = height * width
    index = place.reshape(1, places, places).expand(len(mask), -1, -1)
    return mask.flatten(2).gather(1, index) * inside.reshape(places, places)
