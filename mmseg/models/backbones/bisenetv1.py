"""BiSeNet: Bilateral Segmentation Network for Real-time Semantic Segmentation, https://arxiv.org/abs/1808.00897."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import nn

from mmseg.ops import resize
from mmseg.registry import MODELS

_BN = dict(type='BN')
_LEARNING_BN = dict(type='BN', requires_grad=True)
_RELU = dict(type='ReLU')


class SpatialPath(BaseModule):
    """Three convolutions of stride 2, which keep the details, and a pointwise one.

    Args:
        in_channels: of the image.
        num_channels: of the four results.
    """

    def __init__(self, in_channels: int = 3, num_channels: Sequence[int] = (64, 64, 64, 128),
                 conv_cfg: dict | None = None, norm_cfg: dict = _BN, act_cfg: dict = _RELU,
                 init_cfg: dict | list | None = None):
        super().__init__(init_cfg)
        if len(num_channels) != 4:
            raise ValueError(f'the spatial path has 4 layers, found num_channels={tuple(num_channels)}')
        shared = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)
        first, second, third, last = num_channels
        self.layer1 = ConvModule(in_channels, first, 7, stride=2, padding=3, **shared)
        self.layer2 = ConvModule(first, second, 3, stride=2, padding=1, **shared)
        self.layer3 = ConvModule(second, third, 3, stride=2, padding=1, **shared)
        self.layer4 = ConvModule(third, last, 1, **shared)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, in_channels, H, W) -> (B, num_channels[-1], H / 8, W / 8)."""
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))


class AttentionRefinementModule(BaseModule):
    """Convolve, and scale each channel by a gate computed from the means of all channels."""

    def __init__(self, in_channels: int, out_channel: int, conv_cfg: dict | None = None, norm_cfg: dict = _BN,
                 act_cfg: dict = _RELU, init_cfg: dict | list | None = None):
        super().__init__(init_cfg)
        shared = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg)
        self.conv_layer = ConvModule(in_channels, out_channel, 3, padding=1, act_cfg=act_cfg, **shared)
        self.atten_conv_layer = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            ConvModule(out_channel, out_channel, 1, bias=False, act_cfg=None, **shared),
            nn.Sigmoid())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, in_channels, H, W) -> (B, out_channel, H, W)."""
        x = self.conv_layer(x)
        return x * self.atten_conv_layer(x)


class ContextPath(BaseModule):
    """A backbone and the way back from its mean over stride 32 and 16 to stride 8.

    Args:
        backbone_cfg: config of a backbone that returns features of stride 4, 8, 16 and 32.
        context_channels: of its last three; the results have as many as the first of them.
    """

    def __init__(self, backbone_cfg: dict, context_channels: Sequence[int] = (128, 256, 512),
                 align_corners: bool = False, conv_cfg: dict | None = None, norm_cfg: dict = _BN,
                 act_cfg: dict = _RELU, init_cfg: dict | list | None = None):
        super().__init__(init_cfg)
        if len(context_channels) != 3:
            raise ValueError('context_channels are those of stride 8, 16 and 32, found '
                             f'{len(context_channels)}: {tuple(context_channels)}')
        self.align_corners = align_corners
        self.backbone = MODELS.build(backbone_cfg)
        shared = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)
        channels, middle, top = context_channels
        self.arm16 = AttentionRefinementModule(middle, channels, **shared)
        self.arm32 = AttentionRefinementModule(top, channels, **shared)
        self.conv_head32 = ConvModule(channels, channels, 3, padding=1, **shared)
        self.conv_head16 = ConvModule(channels, channels, 3, padding=1, **shared)
        self.gap_conv = nn.Sequential(nn.AdaptiveAvgPool2d(1), ConvModule(top, channels, 1, **shared))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, 3, H, W) -> features (B, context_channels[0], h, w) of stride 8 and 16."""
        *_, x8, x16, x32 = self.backbone(x)
        context32 = self.arm32(x32) + self.gap_conv(x32)
        head32 = self.conv_head32(resize(context32, x16.shape[2:], mode='nearest'))
        context16 = self.arm16(x16) + head32
        head16 = self.conv_head16(resize(context16, x8.shape[2:], mode='nearest'))
        return head16, head32


class FeatureFusionModule(BaseModule):
    """Join both paths, and add to their features the same ones scaled by a gate.

    The gate is one convolution with its normalisation; the paper draws two without.

    Args:
        in_channels: of both paths together.
    """

    def __init__(self, in_channels: int, out_channels: int, conv_cfg: dict | None = None, norm_cfg: dict = _BN,
                 act_cfg: dict = _RELU, init_cfg: dict | list | None = None):
        super().__init__(init_cfg)
        shared = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.conv1 = ConvModule(in_channels, out_channels, 1, **shared)
        self.gap = nn.AdaptiveAvgPool2d(1)
        self.conv_atten = nn.Sequential(
            ConvModule(out_channels, out_channels, 1, bias=False, **shared), nn.Sigmoid())

    def forward(self, x_sp: torch.Tensor, x_cp: torch.Tensor) -> torch.Tensor:
        """Features of the spatial and the context path, of one size -> (B, out_channels, H, W)."""
        x = self.conv1(torch.cat([x_sp, x_cp], dim=1))
        return x + x * self.conv_atten(self.gap(x))


@MODELS.register_module()
class BiSeNetV1(BaseModule):
    """BiSeNet; returns its fused feature and those of the context path, which auxiliary heads learn from.

    Args:
        backbone_cfg: config of the context path's backbone, with features of stride 4, 8, 16 and 32.
        in_channels: of the image.
        spatial_channels: of the spatial path's four layers.
        context_channels: of the backbone's features of stride 8, 16 and 32.
        out_indices: which to return: 0 the fused feature, 1 and 2 those of the context path of stride 8 and 16.
        out_channels: of the fused feature.

    Attributes:
        out_channels, out_strides: of each returned feature.
    """

    def __init__(self,
                 backbone_cfg: dict,
                 in_channels: int = 3,
                 spatial_channels: Sequence[int] = (64, 64, 64, 128),
                 context_channels: Sequence[int] = (128, 256, 512),
                 out_indices: Sequence[int] = (0, 1, 2),
                 align_corners: bool = False,
                 out_channels: int = 256,
                 conv_cfg: dict | None = None,
                 norm_cfg: dict = _LEARNING_BN,
                 act_cfg: dict = _RELU,
                 init_cfg: dict | list | None = None):
        super().__init__(init_cfg)
        self.out_indices = tuple(out_indices)
        self.align_corners = align_corners
        shared = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.context_path = ContextPath(backbone_cfg, context_channels, align_corners, **shared)
        self.spatial_path = SpatialPath(in_channels, spatial_channels, **shared)
        context = context_channels[0]
        self.ffm = FeatureFusionModule(spatial_channels[-1] + context, out_channels, **shared)
        self.out_channels = tuple((out_channels, context, context)[i] for i in self.out_indices)
        self.out_strides = tuple((8, 8, 16)[i] for i in self.out_indices)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(B, in_channels, H, W) -> the features of `out_indices`, (B, C, H / stride, W / stride)."""
        context8, context16 = self.context_path(x)
        features = self.ffm(self.spatial_path(x), context8), context8, context16
        return tuple(features[i] for i in self.out_indices)
