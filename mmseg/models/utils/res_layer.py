"""A stage of a residual network."""
from __future__ import annotations

from collections.abc import Sequence

from mmcv.cnn import build_conv_layer, build_norm_layer
from mmengine.model import BaseModule, Sequential
from torch import nn

_BN = dict(type='BN')


class ResLayer(Sequential):
    """Residual blocks of one width, the first of which takes the stride and, where it is needed, a projection.

    Args:
        block: class of the blocks.
        inplanes: channels of the input.
        planes: width of the blocks; the output has `planes * block.expansion` channels.
        avg_down: project by average pooling and a convolution of stride 1, as ResNet-D does.
        multi_grid: dilation of each block, in place of `dilation`.
        contract_dilation: give the first block half the dilation, so that it fits the stage before.
        kwargs: go to every block.
    """

    def __init__(self, block: type[BaseModule], inplanes: int, planes: int, num_blocks: int, stride: int = 1,
                 dilation: int = 1, avg_down: bool = False, conv_cfg: dict | None = None, norm_cfg: dict = _BN,
                 multi_grid: Sequence[int] | None = None, contract_dilation: bool = False, **kwargs):
        outplanes = planes * block.expansion
        downsample = None
        if stride != 1 or inplanes != outplanes:
            pool = [nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False)] if avg_down else []
            project = build_conv_layer(conv_cfg, inplanes, outplanes, 1, 1 if avg_down else stride, bias=False)
            downsample = nn.Sequential(*pool, project, build_norm_layer(norm_cfg, outplanes)[1])
        shared = dict(kwargs, conv_cfg=conv_cfg, norm_cfg=norm_cfg)
        first, *others = self._dilations(num_blocks, dilation, multi_grid, contract_dilation)
        super().__init__(
            block(inplanes, planes, stride=stride, dilation=first, downsample=downsample, **shared),
            *(block(outplanes, planes, dilation=rate, **shared) for rate in others))

    @staticmethod
    def _dilations(num_blocks: int, dilation: int, multi_grid: Sequence[int] | None, contract: bool) -> list[int]:
        if multi_grid is None:
            first = dilation // 2 if contract and dilation > 1 else dilation
            return [first] + [dilation] * (num_blocks - 1)
        if len(multi_grid) < num_blocks:
            raise ValueError(f'multi_grid {tuple(multi_grid)} must name a dilation for each of {num_blocks} blocks')
        return list(multi_grid[:num_blocks])
