"""Adaptive Pyramid Context Network for Semantic Segmentation, CVPR 2019."""
from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from torch import nn

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS


class ACM(nn.Module):
    """Adaptive context: every place weighs the cells of one grid by what it and the whole image look like.

    Args:
        pool_scale: cells of the grid along a side.
        fusion: end with one more convolution.
    """

    def __init__(self, pool_scale: int, fusion: bool, in_channels: int, channels: int, conv_cfg: dict | None,
                 norm_cfg: dict | None, act_cfg: dict | None):
        super().__init__()
        self.pool_scale = pool_scale
        options = dict(kernel_size=1, conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.pooled_redu_conv = ConvModule(in_channels, channels, **options)
        self.input_redu_conv = ConvModule(in_channels, channels, **options)
        self.global_info = ConvModule(channels, channels, **options)
        self.gla = nn.Conv2d(channels, pool_scale**2, 1)
        self.residual_conv = ConvModule(channels, channels, **options)
        self.fusion_conv = ConvModule(channels, channels, **options) if fusion else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, in_channels, H, W) -> (B, channels, H, W)."""
        cells = self.pooled_redu_conv(F.adaptive_avg_pool2d(x, self.pool_scale)).flatten(2)  # B C S
        x = self.input_redu_conv(x)
        affinity = self.gla(x + self.global_info(F.adaptive_avg_pool2d(x, 1))).sigmoid()  # B S H W
        context = (cells @ affinity.flatten(2)).view_as(x)  # B C (H W) -> B C H W
        context = F.relu(self.residual_conv(context) + x)
        return context if self.fusion_conv is None else self.fusion_conv(context)


@MODELS.register_module()
class APCHead(BaseDecodeHead):
    """Adaptive context of several grids beside the feature itself.

    Args:
        pool_scales: cells of each grid along a side.
        fusion: end each context with one more convolution.
    """

    def __init__(self, pool_scales: Sequence[int] = (1, 2, 3, 6), fusion: bool = True, **kwargs):
        super().__init__(**kwargs)
        self.pool_scales = pool_scales
        self.fusion = fusion
        self.acm_modules = nn.ModuleList(
            ACM(scale, fusion, self.in_channels, self.channels, **self.conv_options) for scale in pool_scales)
        self.bottleneck = ConvModule(self.in_channels + len(pool_scales) * self.channels, self.channels, 3, padding=1,
                                     **self.conv_options)

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Features of the backbone -> logits (B, num_classes, h, w)."""
        x = self._transform_inputs(inputs)
        contexts = [module(x) for module in self.acm_modules]
        return self.cls_seg(self.bottleneck(torch.cat([x, *contexts], dim=1)))
