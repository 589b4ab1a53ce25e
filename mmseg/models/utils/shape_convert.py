"""Between feature maps (B, C, H, W) and sequences of tokens (B, H W, C)."""
from __future__ import annotations

from collections.abc import Callable

import torch


def nlc_to_nchw(x: torch.Tensor, hw_shape: tuple[int, int]) -> torch.Tensor:
    """Lay tokens out as a map of the given height and width."""
    height, width = hw_shape
    if x.ndim != 3 or x.shape[1] != height * width:
        raise ValueError(f'a map of {height} x {width} needs tokens (B, {height * width}, C), found {tuple(x.shape)}')
    return x.transpose(1, 2).unflatten(2, (height, width))  # B (H W) C -> B C H W


def nchw_to_nlc(x: torch.Tensor) -> torch.Tensor:
    """Read a map row by row as tokens."""
    if x.ndim != 4:
        raise ValueError(f'a feature map has the shape (B, C, H, W), found {tuple(x.shape)}')
    return x.flatten(2).transpose(1, 2)  # B C H W -> B (H W) C


def nchw2nlc2nchw(module: Callable[..., torch.Tensor], x: torch.Tensor, contiguous: bool = False,
                  **kwargs) -> torch.Tensor:
    """Apply a module of tokens to a map; `contiguous` copies its input and its result into plain memory order."""
    tokens = nchw_to_nlc(x)
    if contiguous:
        return nlc_to_nchw(module(tokens.contiguous(), **kwargs), x.shape[2:]).contiguous()
    return nlc_to_nchw(module(tokens, **kwargs), x.shape[2:])


def nlc2nchw2nlc(module: Callable[..., torch.Tensor], x: torch.Tensor, hw_shape: tuple[int, int],
                 contiguous: bool = False, **kwargs) -> torch.Tensor:
    """Apply a module of maps to tokens; `contiguous` copies its input and its result into plain memory order."""
    feature = nlc_to_nchw(x, hw_shape)
    if contiguous:
        return nchw_to_nlc(module(feature.contiguous(), **kwargs)).contiguous()
    return nchw_to_nlc(module(feature, **kwargs))
