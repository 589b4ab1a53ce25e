"""Lite R-ASPP: Searching for MobileNetV3, https://arxiv.org/abs/1905.02244, section 6.4."""
from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from torch import nn

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.ops import resize
from mmseg.registry import MODELS


class _LargeWindows(nn.Module):
    """Means over windows of 49 x 49, every 16 rows and 20 columns; a smaller feature is one window along that side.

    The paper takes them for a global mean that costs less.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> (B, C, h, w)."""
        return F.avg_pool2d(x, [torch.sym_min(49, side) for side in x.shape[2:]], stride=(16, 20))


@MODELS.register_module()
class LRASPPHead(BaseDecodeHead):
    """Gate the deepest feature by its pooled self, then join it with finer ones from step to step.

    Args:
        branch_channels: to which each finer feature is projected, one fewer than `in_channels`, the finest first.
    """

    def __init__(self, branch_channels: Sequence[int] = (32, 64), **kwargs):
        super().__init__(**kwargs)
        if self.input_transform != 'multiple_select' or len(self.in_channels) != len(branch_channels) + 1:
            raise ValueError("LRASPPHead takes input_transform='multiple_select' and one more in_channels than "
                             f'branch_channels, found {self.input_transform!r}, {self.in_channels} and '
                             f'{tuple(branch_channels)}')
        *finer, deepest = self.in_channels
        options = dict(self.conv_options, bias=False)
        self.convs = nn.ModuleDict({
            f'conv{i}': nn.Conv2d(source, width, 1, bias=False)
            for i, (source, width) in enumerate(zip(finer, branch_channels))})
        self.conv_ups = nn.ModuleDict({
            f'conv_up{i}': ConvModule(self.channels + width, self.channels, 1, **options)
            for i, width in enumerate(branch_channels)})
        self.conv_up_input = nn.Conv2d(self.channels, self.channels, 1)
        self.aspp_conv = ConvModule(deepest, self.channels, 1, **options)
        self.image_pool = nn.Sequential(
            _LargeWindows(), ConvModule(deepest, self.channels, 1, act_cfg=dict(type='Sigmoid'), bias=False))

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Features of the backbone -> logits (B, num_classes, h, w), of the finest one's size."""
        *finer, x = self._transform_inputs(inputs)
        x = self.aspp_conv(x) * self._enlarge(self.image_pool(x), x)
        x = self.conv_up_input(x)
        steps = zip(finer, self.convs.values(), self.conv_ups.values())
        for skipped, project, join in reversed(list(steps)):
            x = join(torch.cat([self._enlarge(x, skipped), project(skipped)], dim=1))
        return self.cls_seg(x)

    def _enlarge(self, x: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return resize(x, target.shape[2:], mode='bilinear', align_corners=self.align_corners)
