"""Joint Pyramid Upsampling: FastFCN: Rethinking Dilated Convolution in the Backbone, https://arxiv.org/abs/1903.11816."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule, DepthwiseSeparableConvModule
from mmengine.model import BaseModule
from torch import nn

from mmseg.ops import resize
from mmseg.registry import MODELS

_BN = dict(type='BN')
_RELU = dict(type='ReLU')


@MODELS.register_module()
class JPU(BaseModule):
    """Rebuild, from features of several strides, the one that a dilated backbone would give at the finest of them.

    Args:
        in_channels: of each feature of the backbone.
        mid_channels: of each convolution.
        start_level, end_level: first feature used and the one after the last; -1 is the end.
        dilations: of the convolutions of the joined feature, each with its own part of the result.
        align_corners: how the features are enlarged.

    Attributes:
        out_channels: of each output.
    """

    def __init__(self, in_channels: Sequence[int] = (512, 1024, 2048), mid_channels: int = 512, start_level: int = 0,
                 end_level: int = -1, dilations: Sequence[int] = (1, 2, 4, 8), align_corners: bool = False,
                 conv_cfg: dict | None = None, norm_cfg: dict = _BN, act_cfg: dict = _RELU,
                 init_cfg: dict | list | None = None):
        super().__init__(init_cfg)
        used = list(in_channels)[start_level:None if end_level == -1 else end_level]
        if not used or end_level > len(in_channels):
            raise ValueError(f'start_level={start_level} and end_level={end_level} must enclose at least one of the '
                             f'{len(in_channels)} features in in_channels={list(in_channels)}')
        self.in_channels = in_channels
        self.start_level = start_level
        self.align_corners = align_corners
        self.out_channels = (*used[:-1], mid_channels * len(dilations))
        self.conv_layers = nn.ModuleList(
            nn.Sequential(ConvModule(channels, mid_channels, 3, padding=1, conv_cfg=conv_cfg, norm_cfg=norm_cfg,
                                     act_cfg=act_cfg))
            for channels in used)
        self.dilation_layers = nn.ModuleList(
            nn.Sequential(DepthwiseSeparableConvModule(
                mid_channels * len(used), mid_channels, 3, padding=dilation, dilation=dilation, norm_cfg=norm_cfg,
                dw_act_cfg=None, pw_act_cfg=act_cfg))
            for dilation in dilations)

    def forward(self, inputs: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """Features of the backbone -> the used ones, the last of them replaced by the rebuilt one.

        The rebuilt feature has the size of the first used one and `len(dilations) * mid_channels` channels.
        """
        if len(inputs) != len(self.in_channels):
            raise ValueError(f'JPU is made for {len(self.in_channels)} features, found {len(inputs)}')
        used = inputs[self.start_level:self.start_level + len(self.conv_layers)]
        size = used[0].shape[2:]
        joined = torch.cat([resize(conv(x), size, mode='bilinear', align_corners=self.align_corners)
                            for conv, x in zip(self.conv_layers, used)], dim=1)
        return (*used[:-1], torch.cat([layer(joined) for layer in self.dilation_layers], dim=1))
