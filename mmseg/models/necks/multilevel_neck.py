"""A pyramid from features of one size, such as those of a plain Vision Transformer."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule
from mmengine.model import xavier_init
from torch import nn

from mmseg.ops import resize
from mmseg.registry import MODELS

_SCALES = (0.5, 1, 2, 4)


@MODELS.register_module()
class MultiLevelNeck(nn.Module):
    """Project each feature, resize it by its scale and convolve it; a single feature serves all scales.

    Args:
        in_channels: of each feature.
        out_channels: of every output.
        scales: of the outputs, relative to the features.

    Attributes:
        out_channels: of each output.
    """

    def __init__(self, in_channels: Sequence[int], out_channels: int, scales: Sequence[float] = _SCALES,
                 norm_cfg: dict | None = None, act_cfg: dict | None = None):
        super().__init__()
        if len(in_channels) not in (1, len(scales)):
            raise ValueError(f'{len(scales)} scales need as many features or a single one, found {len(in_channels)}')
        self.in_channels = in_channels
        self.out_channels = (out_channels,) * len(scales)
        self.scales = scales
        shared = dict(norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.lateral_convs = nn.ModuleList(ConvModule(wide, out_channels, 1, **shared) for wide in in_channels)
        self.convs = nn.ModuleList(ConvModule(out_channels, out_channels, 3, padding=1, **shared) for _ in scales)

    def init_weights(self) -> None:
        """Initialise the convolutions after Xavier."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                xavier_init(module, distribution='uniform')

    def forward(self, inputs: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """Features (B, C, H, W) -> as many features (B, out_channels, H * scale, W * scale) as there are scales."""
        if len(inputs) != len(self.in_channels):
            raise ValueError(f'this neck is made for {len(self.in_channels)} features, found {len(inputs)}')
        laterals = [conv(x) for conv, x in zip(self.lateral_convs, inputs)]
        if len(laterals) == 1:
            laterals *= len(self.scales)
        return tuple(conv(resize(x, scale_factor=scale, mode='bilinear'))
                     for conv, x, scale in zip(self.convs, laterals, self.scales))
