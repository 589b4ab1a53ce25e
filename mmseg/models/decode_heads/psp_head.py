"""Pyramid Scene Parsing Network, https://arxiv.org/abs/1612.01105."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.utils.ppm import PPM
from mmseg.registry import MODELS

__all__ = ['PPM', 'PSPHead']


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
