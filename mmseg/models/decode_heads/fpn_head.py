"""Panoptic Feature Pyramid Networks (Semantic FPN), https://arxiv.org/abs/1901.02446."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule
from torch import nn

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.utils import Upsample
from mmseg.ops import resize
from mmseg.registry import MODELS


@MODELS.register_module()
class FPNHead(BaseDecodeHead):
    """Take each level of a feature pyramid to the finest one's size, a factor of 2 at a time, and add them up.

    Args:
        feature_strides: of the levels, the finest first.
    """

    def __init__(self, feature_strides: Sequence[int], **kwargs):
        super().__init__(input_transform='multiple_select', **kwargs)
        if len(feature_strides) != len(self.in_channels) or min(feature_strides) != feature_strides[0]:
            raise ValueError('feature_strides must name the stride of each feature, the finest first: found '
                             f'{list(feature_strides)} for {len(self.in_channels)} features')
        self.feature_strides = feature_strides
        self.scale_heads = nn.ModuleList(
            self._make_level(wide, stride // feature_strides[0])
            for wide, stride in zip(self.in_channels, feature_strides))

    def _make_level(self, in_channels: int, scale: int) -> nn.Sequential:
        """Build one convolution for each doubling, at least one."""
        doublings = scale.bit_length() - 1
        layers = []
        for i in range(max(1, doublings)):
            layers.append(ConvModule(self.channels if i else in_channels, self.channels, 3, padding=1,
                                     **self.conv_options))
            if doublings:
                layers.append(Upsample(scale_factor=2, mode='bilinear', align_corners=self.align_corners))
        return nn.Sequential(*layers)

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Features of the neck -> logits (B, num_classes, h, w) of the finest one's size."""
        finest, *coarser = (level(x) for level, x in zip(self.scale_heads, self._transform_inputs(inputs)))
        for x in coarser:
            # The doublings of an odd size are off by a pixel.
            finest = finest + resize(x, finest.shape[2:], mode='bilinear', align_corners=self.align_corners)
        return self.cls_seg(finest)
