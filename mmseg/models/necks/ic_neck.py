"""The cascade feature fusion of ICNet for Real-Time Semantic Segmentation on High-Resolution Images,
https://arxiv.org/abs/1704.08545.
"""
from __future__ import annotations

from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule

from mmseg.ops import resize
from mmseg.registry import MODELS

_BN = dict(type='BN')
_RELU = dict(type='ReLU')


class CascadeFeatureFusion(BaseModule):
    """Add a coarse feature, enlarged and convolved, to a fine one.

    Args:
        low_channels: of the coarse feature.
        high_channels: of the fine feature.
        align_corners: how the coarse feature is enlarged.
    """

    def __init__(self, low_channels: int, high_channels: int, out_channels: int, conv_cfg: dict | None = None,
                 norm_cfg: dict = _BN, act_cfg: dict = _RELU, align_corners: bool = False,
                 init_cfg: dict | list | None = None):
        super().__init__(init_cfg)
        self.align_corners = align_corners
        shared = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.conv_low = ConvModule(low_channels, out_channels, 3, padding=2, dilation=2, **shared)
        self.conv_high = ConvModule(high_channels, out_channels, 1, **shared)

    def forward(self, x_low: torch.Tensor, x_high: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, low_channels, h, w), (B, high_channels, H, W) -> (B, out_channels, H, W) fused, and of the coarse alone.

        The latter is what an auxiliary head learns from.
        """
        enlarged = resize(x_low, x_high.shape[2:], mode='bilinear', align_corners=self.align_corners)
        low = self.conv_low(enlarged)
        return (low + self.conv_high(x_high)).relu(), low


@MODELS.register_module()
class ICNeck(BaseModule):
    """Fuse the three branches of :class:`mmseg.models.backbones.ICNet` from coarse to fine.

    Args:
        in_channels: of the branches, the finest first.
        out_channels: of each of the three results.
        align_corners: how features are enlarged.
    """

    def __init__(self, in_channels: Sequence[int] = (64, 256, 256), out_channels: int = 128,
                 conv_cfg: dict | None = None, norm_cfg: dict = _BN, act_cfg: dict = _RELU,
                 align_corners: bool = False, init_cfg: dict | list | None = None):
        super().__init__(init_cfg)
        if len(in_channels) != 3:
            raise ValueError(f'ICNeck fuses 3 features, found in_channels={tuple(in_channels)}')
        fine, half, quarter = in_channels
        shared = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg, align_corners=align_corners)
        self.cff_24 = CascadeFeatureFusion(quarter, half, out_channels, **shared)
        self.cff_12 = CascadeFeatureFusion(out_channels, fine, out_channels, **shared)

    def forward(self, inputs: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Three features, the finest first -> (B, out_channels, h, w): of stride 16 and 8 for auxiliary heads, and the
        result, of stride 8.
        """
        fine, half, quarter = inputs
        fused, quarter_alone = self.cff_24(quarter, half)
        result, fused_alone = self.cff_12(fused, fine)
        return quarter_alone, fused_alone, result
