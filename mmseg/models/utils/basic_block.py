"""Residual blocks, stages and stem of the two- and three-branch real-time networks, DDRNet and PIDNet.

They differ from those of ResNet in their state keys, in the expansion of the bottleneck (2, not 4) and in the last
activation, which can be left out.
"""
from __future__ import annotations

from collections.abc import Callable

import torch
from mmcv.cnn import ConvModule, build_activation_layer
from mmengine.model import BaseModule
from torch import nn

_BN = dict(type='BN')
_RELU = dict(type='ReLU', inplace=True)


class _ResidualBlock(BaseModule):
    """`act(f(x) + shortcut(x))` with the convolutions of f named conv1, conv2, …

    Args:
        convs: arguments of each convolution.
        act_cfg_out: activation of the sum, or None.
    """

    def __init__(self, convs: list[dict], downsample: nn.Module | None, norm_cfg: dict | None, act_cfg: dict | None,
                 act_cfg_out: dict | None, init_cfg: dict | None):
        super().__init__(init_cfg)
        self.num_convs = len(convs)
        for i, options in enumerate(convs, 1):
            last = i == self.num_convs
            self.add_module(f'conv{i}', ConvModule(**options, norm_cfg=norm_cfg, act_cfg=None if last else act_cfg))
        self.downsample = downsample
        self.act = build_activation_layer(act_cfg_out) if act_cfg_out else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, in_channels, H, W) -> (B, channels * expansion, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        for i in range(1, self.num_convs + 1):
            x = getattr(self, f'conv{i}')(x)
        return self.act(x + shortcut)


class BasicBlock(_ResidualBlock):
    """Two 3x3 convolutions beside a shortcut."""

    expansion = 1

    def __init__(self, in_channels: int, channels: int, stride: int = 1, downsample: nn.Module | None = None,
                 norm_cfg: dict | None = _BN, act_cfg: dict | None = _RELU, act_cfg_out: dict | None = _RELU,
                 init_cfg: dict | None = None):
        convs = [
            dict(in_channels=in_channels, out_channels=channels, kernel_size=3, stride=stride, padding=1),
            dict(in_channels=channels, out_channels=channels, kernel_size=3, padding=1),
        ]
        super().__init__(convs, downsample, norm_cfg, act_cfg, act_cfg_out, init_cfg)


class Bottleneck(_ResidualBlock):
    """1x1, 3x3 and 1x1 convolutions beside a shortcut, `2 * channels` wide at the end."""

    expansion = 2

    def __init__(self, in_channels: int, channels: int, stride: int = 1, downsample: nn.Module | None = None,
                 norm_cfg: dict | None = _BN, act_cfg: dict | None = _RELU, act_cfg_out: dict | None = None,
                 init_cfg: dict | None = None):
        convs = [
            dict(in_channels=in_channels, out_channels=channels, kernel_size=1),
            dict(in_channels=channels, out_channels=channels, kernel_size=3, stride=stride, padding=1),
            dict(in_channels=channels, out_channels=channels * self.expansion, kernel_size=1),
        ]
        super().__init__(convs, downsample, norm_cfg, act_cfg, act_cfg_out, init_cfg)


def residual_stage(block: type[_ResidualBlock], in_channels: int, channels: int, num_blocks: int, stride: int = 1, *,
                   project: Callable[[int, int, int, dict], nn.Module], norm_cfg: dict,
                   act_cfg: dict) -> nn.Sequential:
    """Chain blocks of which the first takes the stride; the last of several leaves its sum without activation.

    Args:
        channels: of the blocks; the stage gives `channels * block.expansion`.
        project: makes the shortcut of a first block that changes the shape, from (in_channels, out_channels, stride,
            norm_cfg).
    """
    out_channels = channels * block.expansion
    shared = dict(norm_cfg=norm_cfg, act_cfg=act_cfg)
    changes = stride != 1 or in_channels != out_channels
    shortcut = project(in_channels, out_channels, stride, norm_cfg) if changes else None
    blocks = [block(in_channels, channels, stride, shortcut, **shared)]
    for i in range(1, num_blocks):
        blocks.append(block(out_channels, channels, act_cfg_out=act_cfg if i < num_blocks - 1 else None, **shared))
    return nn.Sequential(*blocks)


def stem_of_stride_8(in_channels: int, channels: int, num_blocks: int, stage: Callable[..., nn.Sequential],
                     norm_cfg: dict, act_cfg: dict) -> nn.Sequential:
    """Two convolutions and two stages of basic blocks: (B, in_channels, H, W) -> (B, 2 channels, H / 8, W / 8).

    Args:
        stage: :func:`residual_stage` with its options.
    """
    halving = dict(stride=2, padding=1, norm_cfg=norm_cfg, act_cfg=act_cfg)
    return nn.Sequential(
        ConvModule(in_channels, channels, 3, **halving),
        ConvModule(channels, channels, 3, **halving),
        stage(BasicBlock, channels, channels, num_blocks), nn.ReLU(),
        stage(BasicBlock, channels, channels * 2, num_blocks, stride=2), nn.ReLU())
