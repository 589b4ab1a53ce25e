"""MobileNetV2: Inverted Residuals and Linear Bottlenecks, https://arxiv.org/abs/1801.04381."""
from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from operator import mul

import torch
from mmcv.cnn import ConvModule
from torch import nn

from mmseg.models.utils import InvertedResidual, make_divisible
from mmseg.models.utils.backbone_options import CONV_INIT, FreezableBackbone, choose_init_cfg, freeze
from mmseg.registry import MODELS

_BN = dict(type='BN')
_RELU6 = dict(type='ReLU6')


@MODELS.register_module()
class MobileNetV2(FreezableBackbone):
    """MobileNetV2 without its classifier; returns the features of the stages `out_indices`.

    Args:
        widen_factor: channels for each channel of the paper.
        strides: of the seven stages' first blocks, after the stem's 2.
        dilations: of the seven stages' first blocks, or a sequence with the dilation of each block of the stage.
        out_indices: stages whose output is returned, counted from 0.
        frozen_stages: stages that do not learn, counted from the first; 0 is the stem alone, -1 none.
        norm_eval: keep the running statistics of every batch normalisation.
        with_cp: compute the blocks' activations again in the backward pass rather than keep them.
        pretrained: address of weights, short for `init_cfg=dict(type='Pretrained', checkpoint=...)`.

    Attributes:
        out_channels, out_strides: of each returned feature.
    """

    # Expansion, channels and number of blocks of each stage.
    arch_settings = ((1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1))

    def __init__(self, widen_factor: float = 1.0, strides: Sequence[int] = (1, 2, 2, 2, 1, 2, 1),
                 dilations: Sequence[int | Sequence[int]] = (1, 1, 1, 1, 1, 1, 1),
                 out_indices: Sequence[int] = (1, 2, 4, 6), frozen_stages: int = -1, conv_cfg: dict | None = None,
                 norm_cfg: dict | None = _BN, act_cfg: dict = _RELU6, norm_eval: bool = False, with_cp: bool = False,
                 pretrained: str | None = None, init_cfg: dict | list | None = None):
        super().__init__(choose_init_cfg(pretrained, init_cfg, default=list(CONV_INIT)))
        stages = len(self.arch_settings)
        if not len(strides) == len(dilations) == stages:
            raise ValueError(f'MobileNetV2 has {stages} stages, found {len(strides)} strides and {len(dilations)} '
                             'dilations')
        if not set(out_indices) <= set(range(stages)):
            raise ValueError(f'out_indices must lie in 0 to {stages - 1}, found {tuple(out_indices)}')
        if not -1 <= frozen_stages <= stages:
            raise ValueError(f'frozen_stages must be -1 (none) to {stages}, found {frozen_stages}')
        self.out_indices = tuple(sorted(out_indices))
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.with_cp = with_cp
        self.conv_options = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)

        self.in_channels = make_divisible(32 * widen_factor, 8)
        self.conv1 = ConvModule(3, self.in_channels, 3, stride=2, padding=1, **self.conv_options)
        self.layers = []
        channels = []
        for i, (expand_ratio, width, num_blocks) in enumerate(self.arch_settings):
            channels.append(make_divisible(width * widen_factor, 8))
            self.layers.append(f'layer{i + 1}')
            self.add_module(self.layers[-1], self.make_layer(
                channels[-1], num_blocks, strides[i], dilations[i], expand_ratio))
        stage_strides = list(accumulate(strides, mul, initial=2))[1:]
        self.out_channels = tuple(channels[i] for i in self.out_indices)
        self.out_strides = tuple(stage_strides[i] for i in self.out_indices)
        self._freeze_stages()

    def make_layer(self, out_channels: int, num_blocks: int, stride: int, dilation: int | Sequence[int],
                   expand_ratio: int) -> nn.Sequential:
        """Build a stage that goes on from the `self.in_channels` of the one before."""
        dilations = [dilation] + [1] * (num_blocks - 1) if isinstance(dilation, int) else list(dilation)
        if len(dilations) != num_blocks:
            raise ValueError(f'a stage of {num_blocks} blocks needs one dilation or {num_blocks}, found {dilations}')
        widths = [self.in_channels] + [out_channels] * num_blocks
        self.in_channels = out_channels
        return nn.Sequential(*(
            InvertedResidual(widths[i], out_channels, stride if i == 0 else 1, expand_ratio, dilation=dilations[i],
                             with_cp=self.with_cp, **self.conv_options) for i in range(num_blocks)))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(B, 3, H, W) -> a feature (B, C, H / stride, W / stride) of each stage in `out_indices`."""
        x = self.conv1(x)
        features = []
        for stage, name in enumerate(self.layers):
            x = getattr(self, name)(x)
            if stage in self.out_indices:
                features.append(x)
        return tuple(features)

    def _freeze_stages(self) -> None:
        if self.frozen_stages >= 0:
            freeze(self.conv1, *(getattr(self, name) for name in self.layers[:self.frozen_stages]))
