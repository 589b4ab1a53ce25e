"""Layer normalisation of feature maps."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from mmseg.registry import MODELS


@MODELS.register_module('LN2d')
class LayerNorm2d(nn.LayerNorm):
    """Normalise the channels of each place by themselves.

    In configs it is `dict(type='LN2d', eps=...)`.
    """

    def __init__(self, num_channels: int, eps: float = 1e-6, **kwargs):
        super().__init__(num_channels, eps, **kwargs)

    def forward(self, x: torch.Tensor, channels_last: bool = False) -> torch.Tensor:
        """Normalise (B, C, H, W) or, with `channels_last`, (B, H, W, C)."""
        if channels_last:
            return super().forward(x)
        places = x.permute(0, 2, 3, 1)  # B C H W -> B H W C
        return F.layer_norm(places, self.normalized_shape, self.weight, self.bias, self.eps).permute(0, 3, 1, 2)
