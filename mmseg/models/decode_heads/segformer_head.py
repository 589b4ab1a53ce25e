"""The all-MLP decoder of SegFormer, https://arxiv.org/abs/2105.15203."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule
from torch import nn

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.ops import resize
from mmseg.registry import MODELS


@MODELS.register_module()
class SegformerHead(BaseDecodeHead):
    """Project every feature to `channels`, bring all to the first one's size and fuse them by a 1x1 convolution.

    Args:
        interpolate_mode: how they are resized.
    """

    def __init__(self, interpolate_mode: str = 'bilinear', **kwargs):
        super().__init__(input_transform='multiple_select', **kwargs)
        self.interpolate_mode = interpolate_mode
        shared = dict(norm_cfg=self.norm_cfg, act_cfg=self.act_cfg)
        self.convs = nn.ModuleList(ConvModule(wide, self.channels, 1, **shared) for wide in self.in_channels)
        self.fusion_conv = ConvModule(self.channels * len(self.in_channels), self.channels, 1, norm_cfg=self.norm_cfg)

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Features of the backbone -> logits (B, num_classes, h, w) of the first one's size."""
        inputs = self._transform_inputs(inputs)
        size = inputs[0].shape[2:]
        projected = [resize(conv(x), size, mode=self.interpolate_mode, align_corners=self.align_corners)
                     for conv, x in zip(self.convs, inputs)]
        return self.cls_seg(self.fusion_conv(torch.cat(projected, dim=1)))
