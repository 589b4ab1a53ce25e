"""CGNet: A Light-weight Context Guided Network for Semantic Segmentation, https://arxiv.org/abs/1811.08201."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule, build_conv_layer, build_norm_layer
from torch import nn

from mmseg.models.utils.backbone_options import FreezableBackbone, checkpointed, choose_init_cfg
from mmseg.registry import MODELS

_BN = dict(type='BN', requires_grad=True)
_PRELU = dict(type='PReLU')
# Slopes of zero: a new network begins with ReLU and learns how much of the negative to let through.
_INIT = (dict(type='Xavier', layer=['Conv2d', 'Linear']),
         dict(type='Constant', val=1, layer=['_BatchNorm', 'GroupNorm']),
         dict(type='Constant', val=0, layer='PReLU'))


def _with_slopes(act_cfg: dict, channels: int) -> dict:
    """Let PReLU learn a slope for each channel."""
    return dict(act_cfg, num_parameters=channels) if act_cfg['type'] == 'PReLU' else act_cfg


def _norm_prelu(norm_cfg: dict, channels: int) -> nn.Sequential:
    return nn.Sequential(build_norm_layer(norm_cfg, channels)[1], nn.PReLU(channels))


class GlobalContextExtractor(nn.Module):
    """F_glo of the paper: scale each channel by a gate computed from the means of all channels.

    Args:
        channel: channels of input and output.
        reduction: the hidden layer has `channel // reduction` units.
        with_cp: compute the activations again in the backward pass rather than keep them.
    """

    def __init__(self, channel: int, reduction: int = 16, with_cp: bool = False):
        super().__init__()
        if not 1 <= reduction <= channel:
            raise ValueError(f'reduction must be between 1 and the number of channels, {channel}: found {reduction}')
        self.with_cp = with_cp
        hidden = channel // reduction
        self.avg_pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Sequential(
            nn.Linear(channel, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, channel), nn.Sigmoid())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Gate (B, channel, H, W)."""
        return checkpointed(self, self._gated, x) if self.with_cp else self._gated(x)

    def _gated(self, x: torch.Tensor) -> torch.Tensor:
        gate = self.fc(self.avg_pool(x).flatten(1))  # B C 1 1 -> B C
        return x * gate[:, :, None, None]


class ContextGuidedBlock(nn.Module):
    """Local features beside those of a wider surrounding, joined and weighted by the global context.

    Args:
        dilation: of the convolution that looks at the surrounding.
        reduction: of the :class:`GlobalContextExtractor`.
        skip_connect: add the input to the result; never where `downsample` halves the size.
        downsample: halve height and width, with as many channels in each of both features as come out.
        with_cp: compute the activations again in the backward pass rather than keep them.
    """

    def __init__(self, in_channels: int, out_channels: int, dilation: int = 2, reduction: int = 16,
                 skip_connect: bool = True, downsample: bool = False, conv_cfg: dict | None = None,
                 norm_cfg: dict = _BN, act_cfg: dict = _PRELU, with_cp: bool = False):
        super().__init__()
        self.with_cp = with_cp
        self.downsample = downsample
        self.skip_connect = skip_connect and not downsample
        channels = out_channels if downsample else out_channels // 2
        size, stride = (3, 2) if downsample else (1, 1)
        self.conv1x1 = ConvModule(in_channels, channels, size, stride, padding=size // 2, conv_cfg=conv_cfg,
                                  norm_cfg=norm_cfg, act_cfg=_with_slopes(act_cfg, channels))
        depthwise = dict(groups=channels, bias=False)
        self.f_loc = build_conv_layer(conv_cfg, channels, channels, 3, padding=1, **depthwise)
        self.f_sur = build_conv_layer(conv_cfg, channels, channels, 3, padding=dilation, dilation=dilation, **depthwise)
        self.bn = build_norm_layer(norm_cfg, 2 * channels)[1]
        self.activate = nn.PReLU(2 * channels)
        if downsample:
            self.bottleneck = build_conv_layer(conv_cfg, 2 * channels, out_channels, 1, bias=False)
        self.f_glo = GlobalContextExtractor(out_channels, reduction)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H, W), or half as large."""
        out = checkpointed(self, self._transform, x) if self.with_cp else self._transform(x)
        return x + out if self.skip_connect else out

    def _transform(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv1x1(x)
        joint = torch.cat([self.f_loc(x), self.f_sur(x)], dim=1)
        joint = self.activate(self.bn(joint))
        if self.downsample:
            joint = self.bottleneck(joint)
        return self.f_glo(joint)


class InputInjection(nn.Sequential):
    """The image itself, halved `num_downsampling` times: what each stage gets beside its features."""

    def __init__(self, num_downsampling: int):
        super().__init__(*(nn.AvgPool2d(3, stride=2, padding=1) for _ in range(num_downsampling)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> (B, C, H / 2^n, W / 2^n), rounded up."""
        return super().forward(x)


@MODELS.register_module()
class CGNet(FreezableBackbone):
    """Three stages of strides 2, 4 and 8; each returns its features joined with those that it began with.

    Args:
        in_channels: of the image.
        num_channels: of the three stages.
        num_blocks: of the second and the third stage (M and N of the paper).
        dilations: of their blocks.
        reductions: of their blocks' global context.
        norm_eval: keep the running statistics of every batch normalisation.
        with_cp: compute the blocks' activations again in the backward pass rather than keep them.
        pretrained: address of weights, short for `init_cfg=dict(type='Pretrained', checkpoint=...)`.

    Attributes:
        out_channels, out_strides: of each returned feature.
    """

    def __init__(self, in_channels: int = 3, num_channels: Sequence[int] = (32, 64, 128),
                 num_blocks: Sequence[int] = (3, 21), dilations: Sequence[int] = (2, 4),
                 reductions: Sequence[int] = (8, 16), conv_cfg: dict | None = None, norm_cfg: dict = _BN,
                 act_cfg: dict = _PRELU, norm_eval: bool = False, with_cp: bool = False,
                 pretrained: str | None = None, init_cfg: dict | list | None = None):
        super().__init__(choose_init_cfg(pretrained, init_cfg, default=list(_INIT)))
        for name, values, expected in (('num_channels', num_channels, 3), ('num_blocks', num_blocks, 2),
                                       ('dilations', dilations, 2), ('reductions', reductions, 2)):
            if len(values) != expected or min(values) < 1:
                raise ValueError(f'CGNet takes {expected} {name}, each at least 1, found {tuple(values)}')
        self.norm_eval = norm_eval
        shared = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)
        first, second, third = num_channels
        self.out_channels = (first + in_channels, 2 * second + in_channels, 2 * third)
        self.out_strides = (2, 4, 8)

        self.inject_2x = InputInjection(1)
        self.inject_4x = InputInjection(2)
        options = dict(shared, act_cfg=_with_slopes(act_cfg, first))
        self.stem = nn.ModuleList(
            ConvModule(in_channels if i == 0 else first, first, 3, stride=2 if i == 0 else 1, padding=1, **options)
            for i in range(3))
        for stage, channels in enumerate((second, third), 1):
            blocks = dict(dilation=dilations[stage - 1], reduction=reductions[stage - 1], with_cp=with_cp, **shared)
            self.add_module(f'level{stage}', nn.ModuleList([
                ContextGuidedBlock(self.out_channels[stage - 1], channels, downsample=True, **blocks),
                *(ContextGuidedBlock(channels, channels, **blocks) for _ in range(num_blocks[stage - 1] - 1))]))
        for stage, channels in enumerate(self.out_channels):
            self.add_module(f'norm_prelu_{stage}', _norm_prelu(norm_cfg, channels))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(B, in_channels, H, W) -> the features (B, C, H / stride, W / stride) of the three stages."""
        half, quarter = self.inject_2x(x), self.inject_4x(x)
        for layer in self.stem:
            x = layer(x)
        features = [self.norm_prelu_0(torch.cat([x, half], dim=1))]
        first, last = _ends(self.level1, features[-1])
        features.append(self.norm_prelu_1(torch.cat([last, first, quarter], dim=1)))
        first, last = _ends(self.level2, features[-1])
        features.append(self.norm_prelu_2(torch.cat([first, last], dim=1)))
        return tuple(features)


def _ends(blocks: nn.ModuleList, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Apply blocks one after another; return what comes of the first and of the last."""
    first = last = blocks[0](x)
    for block in blocks[1:]:
        last = block(last)
    return first, last
