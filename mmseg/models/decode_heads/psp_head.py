"""Pyramid Scene Parsing Network, https://arxiv.org/abs/1612.01105."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule
from torch import nn

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.ops import resize
from mmseg.registry import MODELS


class PPM(nn.ModuleList):
    """Pyramid pooling: means over grids of several sizes, projected and enlarged to the size of the input.

    Args:
        pool_scales: cells of each grid along a side.
        in_channels: of the input.
        channels: of each result.
        align_corners: how the results are enlarged.
        kwargs: go to every :class:`mmcv.cnn.ConvModule`.
    """

    def __init__(self, pool_scales: Sequence[int], in_channels: int, channels: int, conv_cfg: dict | None,
                 norm_cfg: dict | None, act_cfg: dict | None, align_corners: bool, **kwargs):
        shared = dict(kwargs, conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)
        super().__init__(nn.Sequential(nn.AdaptiveAvgPool2d(scale), ConvModule(in_channels, channels, 1, **shared))
                         for scale in pool_scales)
        self.align_corners = align_corners

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """(B, in_channels, H, W) -> a feature (B, channels, H, W) of each grid."""
        options = dict(mode='bilinear', align_corners=self.align_corners, warning=False)  # grids never align
        return [resize(pool(x), x.shape[2:], **options) for pool in self]


@MODELS.register_module()
class PSPHead(BaseDecodeHead):
    """Pyramid pooling beside the feature itself, one convolution, and the classifier.

    Args:
        pool_scales: cells of each grid along a side.
    """

    def __init__(self, pool_scales: Sequence[int] = (1, 2, 3, 6), **kwargs):
        super().__init__(**kwargs)
        self.pool_scales = pool_scales
        self.psp_modules = PPM(pool_scales, self.in_channels, self.channels, align_corners=self.align_corners,
                               **self.conv_options)
        self.bottleneck = ConvModule(self.in_channels + len(pool_scales) * self.channels, self.channels, 3, padding=1,
                                     **self.conv_options)

    def _forward_feature(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """What the classifier takes: (B, channels, h, w)."""
        x = self._transform_inputs(inputs)
        return self.bottleneck(torch.cat([x, *self.psp_modules(x)], dim=1))

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Features of the backbone -> logits (B, num_classes, h, w)."""
        return self.cls_seg(self._forward_feature(inputs))
