"""BiSeNet V2: Bilateral Network with Guided Aggregation for Real-time Semantic Segmentation,
https://arxiv.org/abs/2004.02147.
"""
from __future__ import annotations

from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule, DepthwiseSeparableConvModule, build_activation_layer, build_norm_layer
from mmengine.model import BaseModule
from torch import nn

from mmseg.ops import resize
from mmseg.registry import MODELS

_BN = dict(type='BN')
_RELU = dict(type='ReLU')


class DetailBranch(BaseModule):
    """Wide and shallow: three stages of 3x3 convolutions, each of half the size.

    Args:
        detail_channels: of the stages.
        in_channels: of the image.
    """

    def __init__(self, detail_channels: Sequence[int] = (64, 64, 128), in_channels: int = 3,
                 conv_cfg: dict | None = None, norm_cfg: dict = _BN, act_cfg: dict = _RELU,
                 init_cfg: dict | list | None = None):
        super().__init__(init_cfg)
        shared = dict(padding=1, conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)
        stages = []
        for channels in detail_channels:
            repeats = 2 if stages else 1
            stages.append(nn.Sequential(
                ConvModule(in_channels, channels, 3, stride=2, **shared),
                *(ConvModule(channels, channels, 3, **shared) for _ in range(repeats))))
            in_channels = channels
        self.detail_branch = nn.ModuleList(stages)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, in_channels, H, W) -> (B, detail_channels[-1], H / 8, W / 8)."""
        for stage in self.detail_branch:
            x = stage(x)
        return x


class StemBlock(BaseModule):
    """Shrink to a quarter: a convolution of stride 2, then two convolutions beside a pooling of stride 2."""

    def __init__(self, in_channels: int = 3, out_channels: int = 16, conv_cfg: dict | None = None,
                 norm_cfg: dict = _BN, act_cfg: dict = _RELU, init_cfg: dict | list | None = None):
        super().__init__(init_cfg)
        shared = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)
        half = out_channels // 2
        self.conv_first = ConvModule(in_channels, out_channels, 3, stride=2, padding=1, **shared)
        self.convs = nn.Sequential(ConvModule(out_channels, half, 1, **shared),
                                   ConvModule(half, out_channels, 3, stride=2, padding=1, **shared))
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.fuse_last = ConvModule(2 * out_channels, out_channels, 3, padding=1, **shared)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H / 4, W / 4)."""
        x = self.conv_first(x)
        return self.fuse_last(torch.cat([self.convs(x), self.pool(x)], dim=1))


class GELayer(BaseModule):
    """Gather and expansion: an inverted residual whose expansion is a 3x3 convolution and a depthwise one.

    Args:
        exp_ratio: hidden channels for each input channel.
        stride: 1 or 2; with 2 there is a second depthwise convolution, and another one in the shortcut.
    """

    def __init__(self, in_channels: int, out_channels: int, exp_ratio: int = 6, stride: int = 1,
                 conv_cfg: dict | None = None, norm_cfg: dict = _BN, act_cfg: dict = _RELU,
                 init_cfg: dict | list | None = None):
        super().__init__(init_cfg)
        if stride not in (1, 2) or (stride == 1 and in_channels != out_channels):
            raise ValueError('a GELayer has stride 2, or stride 1 and as many output as input channels: found stride '
                             f'{stride}, {in_channels} -> {out_channels} channels')
        hidden = in_channels * exp_ratio
        shared = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg)
        filter_ = dict(shared, kernel_size=3, padding=1, bias=False)
        self.conv1 = ConvModule(in_channels, in_channels, 3, padding=1, act_cfg=act_cfg, **shared)
        if stride == 1:
            self.dwconv = nn.Sequential(ConvModule(in_channels, hidden, groups=in_channels, act_cfg=act_cfg, **filter_))
            self.shortcut = None
        else:
            self.dwconv = nn.Sequential(
                ConvModule(in_channels, hidden, stride=stride, groups=in_channels, act_cfg=None, **filter_),
                ConvModule(hidden, hidden, groups=hidden, act_cfg=act_cfg, **filter_))
            self.shortcut = nn.Sequential(DepthwiseSeparableConvModule(
                in_channels, out_channels, 3, stride=stride, padding=1, act_cfg=None, **shared))
        self.conv2 = nn.Sequential(ConvModule(hidden, out_channels, 1, bias=False, act_cfg=None, **shared))
        self.act = build_activation_layer(act_cfg)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H / stride, W / stride)."""
        shortcut = x if self.shortcut is None else self.shortcut(x)
        return self.act(self.conv2(self.dwconv(self.conv1(x))) + shortcut)


class CEBlock(BaseModule):
    """Context embedding: add what the mean of each channel says, and convolve.

    Args:
        in_channels, out_channels: must be equal, for the context is added to the input.
    """

    def __init__(self, in_channels: int = 3, out_channels: int = 16, conv_cfg: dict | None = None,
                 norm_cfg: dict = _BN, act_cfg: dict = _RELU, init_cfg: dict | list | None = None):
        super().__init__(init_cfg)
        self.in_channels = in_channels
        self.out_channels = out_channels
        shared = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.gap = nn.Sequential(nn.AdaptiveAvgPool2d(1), build_norm_layer(norm_cfg, in_channels)[1])
        self.conv_gap = ConvModule(in_channels, out_channels, 1, **shared)
        self.conv_last = ConvModule(out_channels, out_channels, 3, padding=1, **shared)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        if self.in_channels != self.out_channels:
            raise ValueError(f'the context of a CEBlock has out_channels ({self.out_channels}) and cannot be added to '
                             f'an input of in_channels ({self.in_channels}): give equal numbers')
        return self.conv_last(x + self.conv_gap(self.gap(x)))


class SemanticBranch(BaseModule):
    """Narrow and deep: the stem, three stages of gather-and-expansion layers, and the embedding of their context.

    Args:
        semantic_channels: of the stem and of the stages.
        in_channels: of the image.
        exp_ratio: of the layers.
    """

    def __init__(self, semantic_channels: Sequence[int] = (16, 32, 64, 128), in_channels: int = 3, exp_ratio: int = 6,
                 init_cfg: dict | list | None = None, *, conv_cfg: dict | None = None, norm_cfg: dict = _BN,
                 act_cfg: dict = _RELU):
        super().__init__(init_cfg)
        shared = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.semantic_stages = []
        source = semantic_channels[0]
        self._add_stage('stage1', StemBlock(in_channels, source, **shared))
        for number, channels in enumerate(semantic_channels[1:], 2):
            repeats = 3 if number == len(semantic_channels) else 1
            self._add_stage(f'stage{number}', nn.Sequential(
                GELayer(source, channels, exp_ratio, 2, **shared),
                *(GELayer(channels, channels, exp_ratio, 1, **shared) for _ in range(repeats))))
            source = channels
        self._add_stage(f'stage{len(semantic_channels)}_CEBlock', CEBlock(source, source, **shared))

    def _add_stage(self, name: str, stage: nn.Module) -> None:
        self.add_module(name, stage)
        self.semantic_stages.append(name)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """(B, in_channels, H, W) -> features of stride 4, 8, 16 and 32, and the last one with its context."""
        features = []
        for name in self.semantic_stages:
            x = getattr(self, name)(x)
            features.append(x)
        return features


class BGALayer(BaseModule):
    """Bilateral guided aggregation: each branch gates the other at its own resolution.

    Args:
        out_channels: of both branches and of the result.
        align_corners: how the semantic branch is enlarged.
    """

    def __init__(self, out_channels: int = 128, align_corners: bool = False, conv_cfg: dict | None = None,
                 norm_cfg: dict = _BN, act_cfg: dict = _RELU, init_cfg: dict | list | None = None):
        super().__init__(init_cfg)
        self.align_corners = align_corners
        shared = dict(in_channels=out_channels, out_channels=out_channels, kernel_size=3, padding=1, conv_cfg=conv_cfg)
        dense = dict(shared, bias=False, norm_cfg=norm_cfg)
        separable = dict(shared, dw_norm_cfg=norm_cfg, pw_norm_cfg=None, act_cfg=None)
        self.detail_dwconv = nn.Sequential(DepthwiseSeparableConvModule(**separable))
        self.detail_down = nn.Sequential(ConvModule(**dense, stride=2, act_cfg=None), nn.AvgPool2d(3, 2, padding=1))
        self.semantic_conv = nn.Sequential(ConvModule(**dense, act_cfg=None))
        self.semantic_dwconv = nn.Sequential(DepthwiseSeparableConvModule(**separable))
        self.conv = ConvModule(**dense, act_cfg=act_cfg)

    def forward(self, x_d: torch.Tensor, x_s: torch.Tensor) -> torch.Tensor:
        """Details (B, C, H, W), semantics (B, C, H / 4, W / 4) -> (B, C, H, W)."""
        size = x_d.shape[2:]
        fine = self.detail_dwconv(x_d) * self._enlarge(self.semantic_conv(x_s), size).sigmoid()
        coarse = self.detail_down(x_d) * self.semantic_dwconv(x_s).sigmoid()
        return self.conv(fine + self._enlarge(coarse, size))

    def _enlarge(self, x: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
        return resize(x, size, mode='bilinear', align_corners=self.align_corners)


@MODELS.register_module()
class BiSeNetV2(BaseModule):
    """BiSeNet V2; returns its aggregated feature and the stages of the semantic branch, for auxiliary heads.

    Args:
        in_channels: of the image.
        detail_channels: of the detail branch's stages.
        semantic_channels: of the semantic branch's stages.
        semantic_expansion_ratio: of its gather-and-expansion layers.
        bga_channels: of the aggregated feature; the last of both branches must have as many.
        out_indices: which to return: 0 the aggregated feature, 1 to 4 the semantic stages of stride 4 to 32.
        align_corners: how the semantic branch is enlarged.

    Attributes:
        out_channels, out_strides: of each returned feature.
    """

    def __init__(self,
                 in_channels: int = 3,
                 detail_channels: Sequence[int] = (64, 64, 128),
                 semantic_channels: Sequence[int] = (16, 32, 64, 128),
                 semantic_expansion_ratio: int = 6,
                 bga_channels: int = 128,
                 out_indices: Sequence[int] = (0, 1, 2, 3, 4),
                 align_corners: bool = False,
                 conv_cfg: dict | None = None,
                 norm_cfg: dict = _BN,
                 act_cfg: dict = _RELU,
                 init_cfg: dict | list | None = None):
        super().__init__(init_cfg)
        if not detail_channels[-1] == semantic_channels[-1] == bga_channels:
            raise ValueError(f'both branches must end with bga_channels ({bga_channels}), found detail_channels='
                             f'{tuple(detail_channels)} and semantic_channels={tuple(semantic_channels)}')
        if len(semantic_channels) != len(detail_channels) + 1:
            raise ValueError('the semantic branch must end at four times the stride of the detail branch, with one '
                             f'stage more: found {len(semantic_channels)} semantic_channels and {len(detail_channels)} '
                             'detail_channels')
        self.out_indices = tuple(out_indices)
        shared = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.detail = DetailBranch(detail_channels, in_channels, **shared)
        self.semantic = SemanticBranch(semantic_channels, in_channels, semantic_expansion_ratio, **shared)
        self.bga = BGALayer(bga_channels, align_corners, **shared)
        channels = (bga_channels, *semantic_channels)
        strides = (2**len(detail_channels), *(4 * 2**i for i in range(len(semantic_channels))))
        self.out_channels = tuple(channels[i] for i in self.out_indices)
        self.out_strides = tuple(strides[i] for i in self.out_indices)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(B, in_channels, H, W) -> the features of `out_indices`, (B, C, H / stride, W / stride)."""
        *stages, context = self.semantic(x)
        features = self.bga(self.detail(x), context), *stages
        return tuple(features[i] for i in self.out_indices)
