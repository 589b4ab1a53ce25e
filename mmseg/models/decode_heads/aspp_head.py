"""Atrous spatial pyramid pooling: Rethinking Atrous Convolution (DeepLabV3), https://arxiv.org/abs/1706.05587."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule
from torch import nn

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.ops import resize
from mmseg.registry import MODELS


class ASPPModule(nn.ModuleList):
    """Convolutions of several dilations side by side: 3x3, or 1x1 where the dilation is 1."""

    def __init__(self, dilations: Sequence[int], in_channels: int, channels: int, conv_cfg: dict | None,
                 norm_cfg: dict | None, act_cfg: dict | None):
        super().__init__()
        self.options = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.extend(ConvModule(in_channels, channels, 1, **self.options) if dilation == 1 else
                    self._make_dilated(in_channels, channels, dilation) for dilation in dilations)

    def _make_dilated(self, in_channels: int, channels: int, dilation: int) -> nn.Module:
        """Build a branch whose dilation is above 1."""
        return ConvModule(in_channels, channels, 3, padding=dilation, dilation=dilation, **self.options)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """(B, in_channels, H, W) -> a feature (B, channels, H, W) of each dilation."""
        return [conv(x) for conv in self]


@MODELS.register_module()
class ASPPHead(BaseDecodeHead):
    """Dilated convolutions beside the mean of the image, one more convolution, and the classifier.

    Args:
        dilations: of the branches.
    """

    module_class = ASPPModule

    def __init__(self, dilations: Sequence[int] = (1, 6, 12, 18), **kwargs):
        super().__init__(**kwargs)
        self.dilations = dilations
        self.image_pool = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), ConvModule(self.in_channels, self.channels, 1, **self.conv_options))
        self.aspp_modules = self.module_class(
            dilations=dilations, in_channels=self.in_channels, channels=self.channels, **self.conv_options)
        self.bottleneck = ConvModule((len(dilations) + 1) * self.channels, self.channels, 3, padding=1,
                                     **self.conv_options)

    def _forward_feature(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """What the classifier takes: (B, channels, h, w)."""
        x = self._transform_inputs(inputs)
        whole = resize(self.image_pool(x), x.shape[2:], mode='bilinear', align_corners=self.align_corners)
        return self.bottleneck(torch.cat([whole, *self.aspp_modules(x)], dim=1))

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Features of the backbone -> logits (B, num_classes, h, w)."""
        return self.cls_seg(self._forward_feature(inputs))
