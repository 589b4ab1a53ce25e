"""Rethinking BiSeNet For Real-time Semantic Segmentation (STDC), https://arxiv.org/abs/2104.13188."""
from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import nn

from mmseg.models.backbones.bisenetv1 import AttentionRefinementModule
from mmseg.models.utils.backbone_options import choose_init_cfg
from mmseg.ops import resize
from mmseg.registry import MODELS

_BN = dict(type='BN')
_RELU = dict(type='ReLU')
_FFM = dict(in_channels=512, out_channels=256, scale_factor=4)


class STDCModule(BaseModule):
    """Short-term dense concatenation: convolutions one after another, each narrower, and all their results together.

    The first convolution gives half of the output's channels, each further one half of what the one before it gives,
    and the last one as many as that before it.

    Args:
        stride: 1 or 2; with 2 a depthwise convolution follows the first one.
        num_convs: number of convolutions, at least 2.
        fusion_type: `'add'` adds the input to the result, `'cat'` does not.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, norm_cfg: dict | None = None,
                 act_cfg: dict | None = None, num_convs: int = 4, fusion_type: str = 'add',
                 init_cfg: dict | list | None = None):
        super().__init__(init_cfg)
        self._check(in_channels, out_channels, stride, num_convs, fusion_type)
        self.stride = stride
        self.fusion_type = fusion_type
        self.with_downsample = stride == 2
        shared = dict(norm_cfg=norm_cfg, act_cfg=act_cfg)
        linear = dict(norm_cfg=norm_cfg, act_cfg=None)

        widths = [out_channels // 2**i for i in range(1, num_convs)]
        widths.append(widths[-1])
        self.layers = nn.ModuleList([ConvModule(in_channels, widths[0], 1, **shared)])
        self.layers.extend(ConvModule(*pair, 3, padding=1, **shared) for pair in zip(widths, widths[1:]))
        if self.with_downsample:
            half = widths[0]
            self.downsample = ConvModule(half, half, 3, stride=2, padding=1, groups=half, **linear)
            self.skip = nn.AvgPool2d(3, stride=2, padding=1) if fusion_type == 'cat' else nn.Sequential(
                ConvModule(in_channels, in_channels, 3, stride=2, padding=1, groups=in_channels, **linear),
                ConvModule(in_channels, out_channels, 1, **linear))

    @staticmethod
    def _check(in_channels: int, out_channels: int, stride: int, num_convs: int, fusion_type: str) -> None:
        if fusion_type not in ('add', 'cat'):
            raise ValueError(f"fusion_type must be 'add' or 'cat', found {fusion_type!r}")
        if stride not in (1, 2) or num_convs < 2:
            raise ValueError(f'stride must be 1 or 2 and num_convs at least 2, found {stride} and {num_convs}')
        if out_channels % 2**(num_convs - 1):
            raise ValueError(f'{num_convs} convolutions need out_channels divisible by {2**(num_convs - 1)}, found '
                             f'{out_channels}')
        if fusion_type == 'add' and stride == 1 and in_channels != out_channels:
            raise ValueError(f'to be added, an input of in_channels ({in_channels}) needs out_channels as many, found '
                             f'{out_channels}')

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H / stride, W / stride)."""
        return self.forward_add(inputs) if self.fusion_type == 'add' else self.forward_cat(inputs)

    def forward_add(self, inputs: torch.Tensor) -> torch.Tensor:
        """All results together, the first one reduced by convolution, plus the input."""
        _, *results = self._results(inputs)
        shortcut = self.skip(inputs) if self.with_downsample else inputs
        return torch.cat(results, dim=1) + shortcut

    def forward_cat(self, inputs: torch.Tensor) -> torch.Tensor:
        """All results together, the first one reduced by averaging."""
        first, reduced, *others = self._results(inputs)
        return torch.cat([self.skip(first) if self.with_downsample else reduced, *others], dim=1)

    def _results(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return the first result, the same reduced by the stride, and the others, which start from there."""
        first, *others = self.layers
        results = [first(x)]
        results.append(self.downsample(results[0]) if self.with_downsample else results[0])
        for layer in others:
            results.append(layer(results[-1]))
        return results


class FeatureFusionModule(BaseModule):
    """Join spatial and context features, and add to the result the same one scaled by a gate of two convolutions.

    Args:
        in_channels: of both features together.
        scale_factor: the gate's hidden layer has `out_channels // scale_factor` channels.
    """

    def __init__(self, in_channels: int, out_channels: int, scale_factor: int = 4, norm_cfg: dict = _BN,
                 act_cfg: dict = _RELU, init_cfg: dict | list | None = None):
        super().__init__(init_cfg)
        hidden = out_channels // scale_factor
        self.conv0 = ConvModule(in_channels, out_channels, 1, norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.attention = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            ConvModule(out_channels, hidden, 1, bias=False, act_cfg=act_cfg),
            ConvModule(hidden, out_channels, 1, bias=False, act_cfg=None),
            nn.Sigmoid())

    def forward(self, spatial_inputs: torch.Tensor, context_inputs: torch.Tensor) -> torch.Tensor:
        """Two features of one size -> (B, out_channels, H, W)."""
        x = self.conv0(torch.cat([spatial_inputs, context_inputs], dim=1))
        return x + x * self.attention(x)


@MODELS.register_module()
class STDCNet(BaseModule):
    """STDC1 and STDC2; returns the features of stride 8, 16 and 32.

    Args:
        stdc_type: `'STDCNet1'` or `'STDCNet2'`.
        in_channels: of the image.
        channels: of the two convolutions of the stem and of the three stages.
        bottleneck_type: how a module joins its results, see `fusion_type` of :class:`STDCModule`.
        num_convs: of each module.
        with_final_conv: convolve the last feature once more, to at least 1024 channels.
        pretrained: address of weights, short for `init_cfg=dict(type='Pretrained', checkpoint=...)`.

    Attributes:
        out_channels, out_strides: of each returned feature.
    """

    arch_settings = {'STDCNet1': (2, 2, 2), 'STDCNet2': (4, 5, 3)}  # modules of each stage; the first one halves

    def __init__(self, stdc_type: str, in_channels: int, channels: Sequence[int], bottleneck_type: str,
                 norm_cfg: dict | None, act_cfg: dict | None, num_convs: int = 4, with_final_conv: bool = False,
                 pretrained: str | None = None, init_cfg: dict | list | None = None):
        super().__init__(choose_init_cfg(pretrained, init_cfg))
        if stdc_type not in self.arch_settings:
            raise KeyError(f'stdc_type must be one of {", ".join(self.arch_settings)}, found {stdc_type!r}')
        if len(channels) != 5:
            raise ValueError(f'channels are those of 2 convolutions and 3 stages, found {len(channels)}: '
                             f'{tuple(channels)}')
        shared = dict(norm_cfg=norm_cfg, act_cfg=act_cfg)
        first, second, *widths = channels
        self.stages = nn.ModuleList([ConvModule(in_channels, first, 3, stride=2, padding=1, **shared),
                                     ConvModule(first, second, 3, stride=2, padding=1, **shared)])
        source = second
        for width, depth in zip(widths, self.arch_settings[stdc_type]):
            steps = [(source, 2)] + [(width, 1)] * (depth - 1)
            self.stages.append(nn.Sequential(*(
                STDCModule(wide, width, stride, num_convs=num_convs, fusion_type=bottleneck_type, **shared)
                for wide, stride in steps)))
            source = width
        self.with_final_conv = with_final_conv
        if with_final_conv:
            widths[-1] = max(1024, source)
            self.final_conv = ConvModule(source, widths[-1], 1, **shared)
        self.out_channels = tuple(widths)
        self.out_strides = (8, 16, 32)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(B, in_channels, H, W) -> (B, C, h, w) of stride 8, 16 and 32."""
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        *_, x8, x16, x32 = features
        return x8, x16, self.final_conv(x32) if self.with_final_conv else x32


@MODELS.register_module()
class STDCContextPathNet(BaseModule):
    """STDCNet as the context path of BiSeNet, with its first feature in place of the spatial path.

    Returns that first feature, the two of the context path for auxiliary heads, and the fused one.

    Args:
        backbone_cfg: config of a backbone with features of stride 8, 16 and 32.
        last_in_channels: channels of its last and its last but one.
        out_channels: of the context path.
        ffm_cfg: arguments of :class:`FeatureFusionModule`.
        upsample_mode, align_corners: how the context is enlarged.

    Attributes:
        out_channels, out_strides: of each returned feature.
    """

    def __init__(self, backbone_cfg: dict, last_in_channels: Sequence[int] = (1024, 512), out_channels: int = 128,
                 ffm_cfg: dict = _FFM, upsample_mode: str = 'nearest', align_corners: bool | None = None,
                 norm_cfg: dict = _BN, init_cfg: dict | list | None = None):
        super().__init__(init_cfg)
        self.upsample_mode = upsample_mode
        self.align_corners = align_corners
        self.backbone = MODELS.build(backbone_cfg)
        self._check(last_in_channels, out_channels, ffm_cfg['in_channels'])
        self.arms = nn.ModuleList(
            AttentionRefinementModule(channels, out_channels, norm_cfg=norm_cfg) for channels in last_in_channels)
        self.convs = nn.ModuleList(
            ConvModule(out_channels, out_channels, 3, padding=1, norm_cfg=norm_cfg) for _ in last_in_channels)
        self.conv_avg = ConvModule(last_in_channels[0], out_channels, 1, norm_cfg=norm_cfg)
        self.ffm = FeatureFusionModule(**dict(dict(norm_cfg=norm_cfg), **ffm_cfg))
        spatial_channels = ffm_cfg['in_channels'] - out_channels
        self.out_channels = (spatial_channels, out_channels, out_channels, ffm_cfg['out_channels'])
        self.out_strides = (8, 16, 8, 8)

    def _check(self, last_in_channels: Sequence[int], out_channels: int, fused: int) -> None:
        told = getattr(self.backbone, 'out_channels', None)
        if told is None:
            return
        spatial, x16, x32 = told
        if tuple(last_in_channels) != (x32, x16):
            raise ValueError(f'last_in_channels must be those of the backbone, ({x32}, {x16}): found '
                             f'{tuple(last_in_channels)}')
        if fused != spatial + out_channels:
            raise ValueError(f'ffm_cfg must have in_channels={spatial + out_channels}, the {spatial} of the backbone '
                             f'and the out_channels ({out_channels}) of the context: found {fused}')

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(B, in_channels, H, W) -> the spatial feature, the context of stride 16 and 8, and the fused feature."""
        spatial, x16, x32 = self.backbone(x)
        context = self._enlarge(self.conv_avg(F.adaptive_avg_pool2d(x32, 1)), x32)
        context16 = self.convs[0](self._enlarge(self.arms[0](x32) + context, x16))
        context8 = self.convs[1](self._enlarge(self.arms[1](x16) + context16, spatial))
        return spatial, context16, context8, self.ffm(spatial, context8)

    def _enlarge(self, x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        return resize(x, like.shape[2:], mode=self.upsample_mode, align_corners=self.align_corners)
