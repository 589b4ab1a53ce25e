"""The fixed position encoding of DETR, End-to-End Object Detection with Transformers, https://arxiv.org/abs/2005.12872.
"""
from __future__ import annotations

import math

import torch
from mmengine.model import BaseModule

from mmseg.registry import MODELS


@MODELS.register_module()
class SinePositionalEncoding(BaseModule):
    """Write the row, then the column of each place as sines and cosines of `num_feats` wave lengths each.

    Args:
        num_feats: half the channels; even.
        temperature: how many times longer the longest wave is than the shortest.
        normalize: count rows and columns from 0 to `scale` rather than by one.
        scale: what they are counted to.
        eps: keeps the quotient finite.
        offset: added to rows and columns before they are normalised.
    """

    def __init__(self, num_feats: int, temperature: int = 10000, normalize: bool = False, scale: float = 2 * math.pi,
                 eps: float = 1e-6, offset: float = 0., init_cfg: dict | None = None):
        super().__init__(init_cfg)
        if num_feats % 2:
            raise ValueError(f'num_feats={num_feats} waves cannot be pairs of a sine and a cosine: give an even number')
        if not isinstance(scale, int | float):
            raise TypeError(f'scale must be a number, found {scale!r}')
        self.num_feats = num_feats
        self.temperature = temperature
        self.normalize = normalize
        self.scale = scale
        self.eps = eps
        self.offset = offset

    def forward(self, mask: torch.Tensor | None = None, input: torch.Tensor | None = None) -> torch.Tensor:
        """Encode the places of a map.

        Args:
            mask: (B, H, W), true where the image is padded: these places do not count.
            input: (B, C, H, W); without a mask, all of its places count.

        Returns:
            (B, 2 * num_feats, H, W), float32.
        """
        if mask is not None:
            inside = ~mask.bool()
            return self._encode(inside.cumsum(1, dtype=torch.float32), inside.cumsum(2, dtype=torch.float32))
        batch, _, height, width = input.shape
        row, column = (torch.arange(1., side + 1, device=input.device) for side in (height, width))
        encoding = self._encode(row[None, :, None], column[None, None])
        return encoding.expand(batch, -1, -1, -1)

    def _encode(self, row: torch.Tensor, column: torch.Tensor) -> torch.Tensor:
        """Places counted from 1, (B, H, W) or broadcast to it, to channels."""
        if self.normalize:
            row = (row + self.offset) / (row[:, -1:] + self.eps) * self.scale
            column = (column + self.offset) / (column[:, :, -1:] + self.eps) * self.scale
        row, column = self._waves(row), self._waves(column)
        shape = torch.broadcast_shapes(row.shape, column.shape)
        return torch.cat([row.expand(shape), column.expand(shape)], dim=3).permute(0, 3, 1, 2)  # B H W C -> B C H W

    def _waves(self, place: torch.Tensor) -> torch.Tensor:
        """B H W -> B H W num_feats: sines and cosines in turn."""
        pair = torch.arange(0, self.num_feats, 2, dtype=torch.float32, device=place.device)
        angle = place.unsqueeze(-1) / self.temperature ** (pair / self.num_feats)
        return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(-2)
