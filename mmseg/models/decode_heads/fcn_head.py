"""Fully Convolutional Networks for Semantic Segmentation, https://arxiv.org/abs/1411.4038."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule
from torch import nn

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS


@MODELS.register_module()
class FCNHead(BaseDecodeHead):
    """Convolutions, and the classifier.

    Args:
        num_convs: number of convolutions; with 0, `channels` must equal `in_channels`.
        kernel_size: of the convolutions.
        concat_input: set the input before their result, and convolve both once more.
        dilation: of the convolutions.
    """

    def __init__(self, num_convs: int = 2, kernel_size: int = 3, concat_input: bool = True, dilation: int = 1,
                 **kwargs):
        super().__init__(**kwargs)
        if num_convs < 0 or dilation < 1:
            raise ValueError(f'num_convs must be at least 0 and dilation 1, found {num_convs} and {dilation}')
        if num_convs == 0 and self.in_channels != self.channels:
            raise ValueError(f'without convolutions channels ({self.channels}) must equal in_channels '
                             f'({self.in_channels})')
        self.num_convs = num_convs
        self.kernel_size = kernel_size
        self.concat_input = concat_input
        widths = [self.in_channels] + [self.channels] * num_convs
        convs = [self._make_conv(source, target, dilation) for source, target in zip(widths, widths[1:])]
        self.convs = nn.Sequential(*convs) if convs else nn.Identity()
        if concat_input:
            self.conv_cat = self._make_conv(self.in_channels + self.channels, self.channels)

    def _make_conv(self, in_channels: int, out_channels: int, dilation: int = 1) -> nn.Module:
        """Build one convolution that keeps the size."""
        return ConvModule(in_channels, out_channels, self.kernel_size, padding=self.kernel_size // 2 * dilation,
                          dilation=dilation, **self.conv_options)

    def _forward_feature(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """What the classifier takes: (B, channels, h, w)."""
        x = self._transform_inputs(inputs)
        feature = self.convs(x)
        if self.concat_input:
            feature = self.conv_cat(torch.cat([x, feature], dim=1))
        return feature

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Features of the backbone -> logits (B, num_classes, h, w)."""
        return self.cls_seg(self._forward_feature(inputs))
