"""Fast-SCNN: Fast Semantic Segmentation Network, https://arxiv.org/abs/1902.04502."""
from __future__ import annotations

from collections.abc import Sequence
from math import gcd, prod

import torch
from mmcv.cnn import ConvModule, DepthwiseSeparableConvModule
from mmengine.model import BaseModule
from torch import nn

from mmseg.models.utils import InvertedResidual
from mmseg.models.utils.backbone_options import CONV_INIT
from mmseg.models.utils.ppm import PPM
from mmseg.ops import resize
from mmseg.registry import MODELS

_BN = dict(type='BN')
_RELU = dict(type='ReLU')


class LearningToDownsample(nn.Module):
    """Three convolutions of stride 2: a dense one, then two depthwise separable ones.

    Args:
        in_channels: of the image.
        dw_channels: of the first two results.
        out_channels: of the third.
        dw_act_cfg: activation between a depthwise and its pointwise convolution, or None.
    """

    def __init__(self, in_channels: int, dw_channels: Sequence[int], out_channels: int, conv_cfg: dict | None = None,
                 norm_cfg: dict = _BN, act_cfg: dict = _RELU, dw_act_cfg: dict | None = None):
        super().__init__()
        first, second = dw_channels
        shared = dict(kernel_size=3, stride=2, padding=1, conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.conv = ConvModule(in_channels, first, **shared)
        self.dsconv1 = DepthwiseSeparableConvModule(first, second, dw_act_cfg=dw_act_cfg, **shared)
        self.dsconv2 = DepthwiseSeparableConvModule(second, out_channels, dw_act_cfg=dw_act_cfg, **shared)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H / 8, W / 8)."""
        return self.dsconv2(self.dsconv1(self.conv(x)))


class GlobalFeatureExtractor(nn.Module):
    """Three stages of inverted residuals, and pyramid pooling.

    Args:
        block_channels: of each stage.
        expand_ratio: of the inverted residuals.
        num_blocks: of each stage.
        strides: of each stage's first block.
        pool_scales: cells of each grid of the pooling along a side.
        align_corners: how the grids are enlarged.
    """

    def __init__(self, in_channels: int = 64, block_channels: Sequence[int] = (64, 96, 128), out_channels: int = 128,
                 expand_ratio: int = 6, num_blocks: Sequence[int] = (3, 3, 3), strides: Sequence[int] = (2, 2, 1),
                 pool_scales: Sequence[int] = (1, 2, 3, 6), conv_cfg: dict | None = None, norm_cfg: dict = _BN,
                 act_cfg: dict = _RELU, align_corners: bool = False):
        super().__init__()
        if not len(block_channels) == len(num_blocks) == len(strides) == 3:
            raise ValueError(f'there are three stages, found block_channels={tuple(block_channels)}, num_blocks='
                             f'{tuple(num_blocks)} and strides={tuple(strides)}')
        shared = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)
        for i, (wide, blocks, stride) in enumerate(zip(block_channels, num_blocks, strides), 1):
            steps = [(in_channels, stride)] + [(wide, 1)] * (blocks - 1)
            self.add_module(f'bottleneck{i}', nn.Sequential(*(
                InvertedResidual(source, wide, step, expand_ratio, **shared) for source, step in steps)))
            in_channels = wide
        pooled = in_channels // 4
        self.ppm = PPM(pool_scales, in_channels, pooled, align_corners=align_corners, **shared)
        self.out = ConvModule(in_channels + len(pool_scales) * pooled, out_channels, 3, padding=1, **shared)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H / stride, W / stride)."""
        x = self.bottleneck3(self.bottleneck2(self.bottleneck1(x)))
        return self.out(torch.cat([x, *self.ppm(x)], dim=1))


class FeatureFusionModule(nn.Module):
    """Add the features of a lower resolution, enlarged and filtered, to those of a higher one.

    Args:
        dwconv_act_cfg: activation of the depthwise convolution.
        conv_act_cfg: activation of the two branches before they are added, or None.
        align_corners: how the lower resolution is enlarged.
    """

    def __init__(self, higher_in_channels: int, lower_in_channels: int, out_channels: int,
                 conv_cfg: dict | None = None, norm_cfg: dict = _BN, dwconv_act_cfg: dict | None = _RELU,
                 conv_act_cfg: dict | None = None, align_corners: bool = False):
        super().__init__()
        self.align_corners = align_corners
        shared = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg)
        self.dwconv = ConvModule(lower_in_channels, out_channels, 3, padding=1,
                                 groups=gcd(lower_in_channels, out_channels), act_cfg=dwconv_act_cfg, **shared)
        self.conv_lower_res = ConvModule(out_channels, out_channels, 1, act_cfg=conv_act_cfg, **shared)
        self.conv_higher_res = ConvModule(higher_in_channels, out_channels, 1, act_cfg=conv_act_cfg, **shared)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, higher_res_feature: torch.Tensor, lower_res_feature: torch.Tensor) -> torch.Tensor:
        """(B, higher_in_channels, H, W), (B, lower_in_channels, h, w) -> (B, out_channels, H, W)."""
        lower = resize(lower_res_feature, higher_res_feature.shape[2:], mode='bilinear',
                       align_corners=self.align_corners)
        lower = self.conv_lower_res(self.dwconv(lower))
        return self.relu(self.conv_higher_res(higher_res_feature) + lower)


@MODELS.register_module()
class FastSCNN(BaseModule):
    """Fast-SCNN without its classifier; returns the features before, at the end of and after its global branch.

    Args:
        in_channels: of the image.
        downsample_dw_channels: of the first two convolutions.
        global_in_channels: of the third one's result, which is what the global branch takes.
        global_block_channels, global_block_strides: of the stages of the global branch.
        global_out_channels: of the global branch's result.
        higher_in_channels, lower_in_channels: of what is fused: equal to `global_in_channels` and
            `global_out_channels`.
        fusion_out_channels: of the fused feature.
        out_indices: which to return: 0 what the global branch takes, 1 its result, 2 the two fused.
        align_corners: how features are resized.
        dw_act_cfg: activation of the depthwise convolutions before the global branch, or None.

    Attributes:
        out_channels, out_strides: of each returned feature.
    """

    def __init__(self,
                 in_channels: int = 3,
                 downsample_dw_channels: Sequence[int] = (32, 48),
                 global_in_channels: int = 64,
                 global_block_channels: Sequence[int] = (64, 96, 128),
                 global_block_strides: Sequence[int] = (2, 2, 1),
                 global_out_channels: int = 128,
                 higher_in_channels: int = 64,
                 lower_in_channels: int = 128,
                 fusion_out_channels: int = 128,
                 out_indices: Sequence[int] = (0, 1, 2),
                 conv_cfg: dict | None = None,
                 norm_cfg: dict = _BN,
                 act_cfg: dict = _RELU,
                 align_corners: bool = False,
                 dw_act_cfg: dict | None = None,
                 init_cfg: dict | list | None = None):
        super().__init__(list(CONV_INIT) if init_cfg is None else init_cfg)
        for fused, given, source, channels in (
                ('higher_in_channels', higher_in_channels, 'global_in_channels', global_in_channels),
                ('lower_in_channels', lower_in_channels, 'global_out_channels', global_out_channels)):
            if given != channels:
                raise ValueError(f'{fused} ({given}) must equal {source} ({channels}): it is the same feature')
        self.out_indices = tuple(out_indices)
        shared = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg)
        self.learning_to_downsample = LearningToDownsample(
            in_channels, downsample_dw_channels, global_in_channels, act_cfg=act_cfg, dw_act_cfg=dw_act_cfg, **shared)
        self.global_feature_extractor = GlobalFeatureExtractor(
            global_in_channels, global_block_channels, global_out_channels, strides=global_block_strides,
            act_cfg=act_cfg, align_corners=align_corners, **shared)
        self.feature_fusion = FeatureFusionModule(
            higher_in_channels, lower_in_channels, fusion_out_channels, dwconv_act_cfg=act_cfg,
            align_corners=align_corners, **shared)
        channels = (global_in_channels, global_out_channels, fusion_out_channels)
        strides = (8, 8 * prod(global_block_strides), 8)
        self.out_channels = tuple(channels[i] for i in self.out_indices)
        self.out_strides = tuple(strides[i] for i in self.out_indices)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(B, in_channels, H, W) -> the features of `out_indices`, (B, C, H / stride, W / stride)."""
        higher = self.learning_to_downsample(x)
        lower = self.global_feature_extractor(higher)
        features = higher, lower, self.feature_fusion(higher, lower)
        return tuple(features[i] for i in self.out_indices)
