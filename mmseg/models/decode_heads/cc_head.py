"""CCNet: Criss-Cross Attention for Semantic Segmentation, https://arxiv.org/abs/1811.11721."""
from __future__ import annotations

import torch
from mmcv.cnn import Scale
from torch import nn

from mmseg.models.decode_heads.context_head import ContextHead
from mmseg.ops import criss_cross_attention
from mmseg.registry import MODELS


class CrissCrossAttention(nn.Module):
    """Attention along the row and the column of each place, added to the place in a learned measure."""

    def __init__(self, in_channels: int):
        super().__init__()
        self.query_conv = nn.Conv2d(in_channels, in_channels // 8, 1)
        self.key_conv = nn.Conv2d(in_channels, in_channels // 8, 1)
        self.value_conv = nn.Conv2d(in_channels, in_channels, 1)
        self.gamma = Scale(0.)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return x + self.gamma(criss_cross_attention(self.query_conv(x), self.key_conv(x), self.value_conv(x)))


@MODELS.register_module()
class CCHead(ContextHead):
    """Criss-cross attention, `recurrence` times: after two, every place has seen every other."""

    def __init__(self, recurrence: int = 2, **kwargs):
        super().__init__(**kwargs)
        self.recurrence = recurrence
        self.cca = CrissCrossAttention(self.channels)

    def context(self, x: torch.Tensor) -> torch.Tensor:
        for _ in range(self.recurrence):
            x = self.cca(x)
        return x
