"""Encoder-Decoder with Atrous Separable Convolution (DeepLabV3+), https://arxiv.org/abs/1802.02611."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule, DepthwiseSeparableConvModule
from torch import nn

from mmseg.models.decode_heads.aspp_head import ASPPHead, ASPPModule
from mmseg.ops import resize
from mmseg.registry import MODELS


class DepthwiseSeparableASPPModule(ASPPModule):
    """An :class:`ASPPModule` whose dilated convolutions are depthwise separable."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)

    def _make_dilated(self, in_channels: int, channels: int, dilation: int) -> DepthwiseSeparableConvModule:
        norm_and_act = {key: self.options[key] for key in ('norm_cfg', 'act_cfg')}
        return DepthwiseSeparableConvModule(in_channels, channels, 3, padding=dilation, dilation=dilation,
                                            **norm_and_act)


@MODELS.register_module()
class DepthwiseSeparableASPPHead(ASPPHead):
    """DeepLabV3's head, enlarged to the backbone's first feature and refined with it.

    Args:
        c1_in_channels: of that feature; 0 goes on without it.
        c1_channels: to which it is projected.
    """

    module_class = DepthwiseSeparableASPPModule

    def __init__(self, c1_in_channels: int, c1_channels: int, **kwargs):
        super().__init__(**kwargs)
        if c1_in_channels < 0:
            raise ValueError(f'c1_in_channels must be at least 0, found {c1_in_channels}')
        self.c1_bottleneck = None
        if c1_in_channels:
            self.c1_bottleneck = ConvModule(c1_in_channels, c1_channels, 1, **self.conv_options)
        else:
            c1_channels = 0
        norm_and_act = dict(norm_cfg=self.norm_cfg, act_cfg=self.act_cfg)
        self.sep_bottleneck = nn.Sequential(
            DepthwiseSeparableConvModule(self.channels + c1_channels, self.channels, 3, padding=1, **norm_and_act),
            DepthwiseSeparableConvModule(self.channels, self.channels, 3, padding=1, **norm_and_act))

    def _forward_feature(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """What the classifier takes: (B, channels, h, w), of the first feature's size."""
        x = super()._forward_feature(inputs)
        if self.c1_bottleneck is not None:
            c1 = self.c1_bottleneck(inputs[0])
            x = resize(x, c1.shape[2:], mode='bilinear', align_corners=self.align_corners)
            x = torch.cat([x, c1], dim=1)
        return self.sep_bottleneck(x)
