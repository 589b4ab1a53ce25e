"""Residual blocks of the two- and three-branch real-time networks, DDRNet and PIDNet.

They differ from those of ResNet in their state keys, in the expansion of the bottleneck (2, not 4) and in the last
activation, which can be left out.
"""
from __future__ import annotations

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
