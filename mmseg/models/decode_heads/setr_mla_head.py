"""Multi-level feature aggregation (MLA) of SETR, https://arxiv.org/abs/2012.15840."""
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
class SETRMLAHead(BaseDecodeHead):
    """Convolve each feature twice, enlarge all and classify their concatenation.

    Args:
        mla_channels: of each feature then; `channels` must be that times the number of features.
        up_scale: by which features are enlarged.
    """

    def __init__(self, mla_channels: int = 128, up_scale: int = 4, **kwargs):
        super().__init__(input_transform='multiple_select', **kwargs)
        self.mla_channels = mla_channels
        if self.channels != mla_channels * len(self.in_channels):
            raise ValueError(f'{len(self.in_channels)} features of mla_channels={mla_channels} need channels='
                             f'{mla_channels * len(self.in_channels)}, found {self.channels}')
        shared = dict(norm_cfg=self.norm_cfg, act_cfg=self.act_cfg)
        self.up_convs = nn.ModuleList(
            nn.Sequential(ConvModule(wide, mla_channels, 3, padding=1, **shared),
                          ConvModule(mla_channels, mla_channels, 3, padding=1, **shared),
                          Upsample(scale_factor=up_scale, mode='bilinear', align_corners=self.align_corners))
            for wide in self.in_channels)

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Features of the neck -> logits (B, num_classes, h * up_scale, w * up_scale), the first being h x w."""
        enlarged = [up(x) for up, x in zip(self.up_convs, self._transform_inputs(inputs))]
        size = enlarged[0].shape[2:]
        return self.cls_seg(torch.cat(
            [resize(x, size, mode='bilinear', align_corners=self.align_corners) for x in enlarged], dim=1))
