"""Squeeze-and-Excitation Networks, https://arxiv.org/abs/1709.01507."""
from __future__ import annotations

import torch
from mmcv.cnn import ConvModule
from torch import nn

from mmseg.models.utils.make_divisible import make_divisible

_RELU_AND_HARD_SIGMOID = (dict(type='ReLU'), dict(type='HSigmoid', bias=3.0, divisor=6.0))


class SELayer(nn.Module):
    """Scale each channel by a gate computed from the means of all channels.

    Args:
        channels: of input and output.
        ratio: the hidden layer has about `channels / ratio` channels, a multiple of 8.
        act_cfg: activation of both layers, or a pair of them.
    """

    def __init__(self, channels: int, ratio: int = 16, conv_cfg: dict | None = None,
                 act_cfg: dict | tuple[dict, dict] = _RELU_AND_HARD_SIGMOID):
        super().__init__()
        activations = (act_cfg, act_cfg) if isinstance(act_cfg, dict) else tuple(act_cfg)
        if len(activations) != 2:
            raise ValueError(f'act_cfg must be one activation or two of them, found {len(activations)}')
        hidden = make_divisible(channels // ratio, 8)
        self.global_avgpool = nn.AdaptiveAvgPool2d(1)
        self.conv1 = ConvModule(channels, hidden, 1, conv_cfg=conv_cfg, act_cfg=activations[0])
        self.conv2 = ConvModule(hidden, channels, 1, conv_cfg=conv_cfg, act_cfg=activations[1])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Gate (B, C, H, W)."""
        gate = self.conv2(self.conv1(self.global_avgpool(x)))  # B C 1 1
        return x * gate
