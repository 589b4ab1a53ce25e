"""Feature Pyramid Networks for Object Detection, https://arxiv.org/abs/1612.03144."""
from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import nn

from mmseg.ops import resize
from mmseg.registry import MODELS

_NEAREST = dict(mode='nearest')
_XAVIER = dict(type='Xavier', layer='Conv2d', distribution='uniform')
_EXTRA_SOURCES = ('on_input', 'on_lateral', 'on_output')


@MODELS.register_module()
class FPN(BaseModule):
    """A top-down path that adds each coarse feature, enlarged, to the next finer one.

    Args:
        in_channels: of each feature of the backbone.
        out_channels: of every output.
        num_outs: number of outputs; where more than the levels, coarser ones are added.
        start_level, end_level: first level used and the one after the last; -1 is the end.
        add_extra_convs: how coarser outputs arise: False pools the last output; `'on_input'`, `'on_lateral'` and
            `'on_output'` convolve, with stride 2, the backbone's last feature, its lateral one or the last output.
            True means `'on_input'` with `extra_convs_on_inputs`, else `'on_output'`.
        relu_before_extra_convs: apply a ReLU before each but the first of these convolutions.
        no_norm_on_lateral: leave normalisation out of the lateral convolutions.
        upsample_cfg: arguments of :func:`mmseg.ops.resize`; without `scale_factor`, to the finer feature's size.

    Attributes:
        out_channels: of each output.
    """

    def __init__(self,
                 in_channels: Sequence[int],
                 out_channels: int,
                 num_outs: int,
                 start_level: int = 0,
                 end_level: int = -1,
                 add_extra_convs: bool | str = False,
                 extra_convs_on_inputs: bool = False,
                 relu_before_extra_convs: bool = False,
                 no_norm_on_lateral: bool = False,
                 conv_cfg: dict | None = None,
                 norm_cfg: dict | None = None,
                 act_cfg: dict | None = None,
                 upsample_cfg: dict = _NEAREST,
                 init_cfg: dict | list | None = _XAVIER):
        super().__init__(init_cfg)
        used = list(in_channels)[start_level:None if end_level == -1 else end_level]
        self._check(in_channels, num_outs, end_level, used)
        if add_extra_convs is True:
            add_extra_convs = 'on_input' if extra_convs_on_inputs else 'on_output'
        if add_extra_convs and add_extra_convs not in _EXTRA_SOURCES:
            raise ValueError(f'add_extra_convs must be a bool or one of {_EXTRA_SOURCES}, found {add_extra_convs!r}')
        self.in_channels = in_channels
        self.out_channels = (out_channels,) * num_outs
        self.start_level = start_level
        self.num_outs = num_outs
        self.add_extra_convs = add_extra_convs
        self.relu_before_extra_convs = relu_before_extra_convs
        self.upsample_cfg = dict(upsample_cfg)

        shared = dict(conv_cfg=conv_cfg, act_cfg=act_cfg, inplace=False)
        lateral_norm = None if no_norm_on_lateral else norm_cfg
        self.lateral_convs = nn.ModuleList(
            ConvModule(channels, out_channels, 1, norm_cfg=lateral_norm, **shared) for channels in used)
        self.fpn_convs = nn.ModuleList(
            ConvModule(out_channels, out_channels, 3, padding=1, norm_cfg=norm_cfg, **shared) for _ in used)
        if add_extra_convs:
            for i in range(num_outs - len(used)):
                source = used[-1] if i == 0 and add_extra_convs == 'on_input' else out_channels
                self.fpn_convs.append(
                    ConvModule(source, out_channels, 3, stride=2, padding=1, norm_cfg=norm_cfg, **shared))

    @staticmethod
    def _check(in_channels: Sequence[int], num_outs: int, end_level: int, used: list[int]) -> None:
        if end_level > len(in_channels):
            raise ValueError(f'end_level {end_level} is beyond the {len(in_channels)} features of in_channels')
        if not used or num_outs < len(used) or (end_level != -1 and num_outs != len(used)):
            raise ValueError(f'{len(used)} of {len(in_channels)} features are used, so num_outs must be '
                             f'{"that number" if end_level != -1 else "at least that"}: found {num_outs}')

    def forward(self, inputs: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """Features of the backbone, fine to coarse -> `num_outs` features of `out_channels`, fine to coarse."""
        if len(inputs) != len(self.in_channels):
            raise ValueError(f'FPN is made for {len(self.in_channels)} features, found {len(inputs)}')
        laterals = [conv(x) for conv, x in zip(self.lateral_convs, inputs[self.start_level:])]
        for i in reversed(range(len(laterals) - 1)):
            laterals[i] = laterals[i] + self._enlarge(laterals[i + 1], laterals[i].shape[2:])
        outs = [conv(x) for conv, x in zip(self.fpn_convs, laterals)]
        last = dict(on_input=inputs[self.start_level + len(laterals) - 1], on_lateral=laterals[-1], on_output=outs[-1])
        return tuple(outs + self._coarser(last.get(self.add_extra_convs, outs[-1]), self.num_outs - len(outs)))

    def _enlarge(self, x: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
        options = self.upsample_cfg if 'scale_factor' in self.upsample_cfg else dict(self.upsample_cfg, size=size)
        return resize(x, **options)

    def _coarser(self, x: torch.Tensor, count: int) -> list[torch.Tensor]:
        outs = []
        for i in range(count):
            if not self.add_extra_convs:
                x = F.max_pool2d(x, 1, stride=2)
            else:
                x = F.relu(x) if i > 0 and self.relu_before_extra_convs else x
                x = self.fpn_convs[len(self.lateral_convs) + i](x)
            outs.append(x)
        return outs
