"""Unified Perceptual Parsing for Scene Understanding (UPerNet), https://arxiv.org/abs/1807.10221."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule
from torch import nn

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.decode_heads.psp_head import PPM
from mmseg.ops import resize
from mmseg.registry import MODELS


@MODELS.register_module()
class UPerHead(BaseDecodeHead):
    """A feature pyramid with pyramid pooling at its top; all its levels together are classified.

    Args:
        pool_scales: cells of each grid of the pooling along a side.
    """

    def __init__(self, pool_scales: Sequence[int] = (1, 2, 3, 6), **kwargs):
        super().__init__(input_transform='multiple_select', **kwargs)
        *finer, top = self.in_channels
        channels, options = self.channels, self.conv_options
        self.psp_modules = PPM(pool_scales, top, channels, align_corners=self.align_corners, **options)
        self.bottleneck = ConvModule(top + len(pool_scales) * channels, channels, 3, padding=1, **options)
        self.lateral_convs = nn.ModuleList(ConvModule(wide, channels, 1, inplace=False, **options) for wide in finer)
        self.fpn_convs = nn.ModuleList(
            ConvModule(channels, channels, 3, padding=1, inplace=False, **options) for _ in finer)
        self.fpn_bottleneck = ConvModule(len(self.in_channels) * channels, channels, 3, padding=1, **options)

    def psp_forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Pool the coarsest feature: (B, in_channels[-1], h, w) -> (B, channels, h, w)."""
        top = inputs[-1]
        return self.bottleneck(torch.cat([top, *self.psp_modules(top)], dim=1))

    def _enlarge(self, x: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
        return resize(x, size, mode='bilinear', align_corners=self.align_corners)

    def _forward_feature(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """What the classifier takes: (B, channels, h, w), of the finest feature's size."""
        inputs = self._transform_inputs(inputs)
        levels = [conv(x) for conv, x in zip(self.lateral_convs, inputs)] + [self.psp_forward(inputs)]
        for i in reversed(range(len(levels) - 1)):
            levels[i] = levels[i] + self._enlarge(levels[i + 1], levels[i].shape[2:])
        levels = [conv(x) for conv, x in zip(self.fpn_convs, levels)] + levels[-1:]
        size = levels[0].shape[2:]
        return self.fpn_bottleneck(torch.cat([self._enlarge(x, size) for x in levels], dim=1))

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Features of the backbone -> logits (B, num_classes, h, w) of the finest feature's size."""
        return self.cls_seg(self._forward_feature(inputs))
