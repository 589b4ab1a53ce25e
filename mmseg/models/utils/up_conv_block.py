"""A step of a decoder that meets the encoder's feature of the same size."""
from __future__ import annotations

import torch
from mmcv.cnn import ConvModule
from torch import nn

from mmseg.registry import MODELS

_BN = dict(type='BN')
_RELU = dict(type='ReLU')
_INTERPOLATION = dict(type='InterpConv')


class UpConvBlock(nn.Module):
    """Enlarge the deep feature, set the skipped one before it and convolve both.

    Args:
        conv_block: class of the convolutions, such as :class:`mmseg.models.backbones.unet.BasicConvBlock`.
        in_channels: of the deep feature.
        skip_channels: of the encoder's feature.
        out_channels: of the result.
        num_convs, stride, dilation, dcn, plugins: go to `conv_block`.
        upsample_cfg: module that doubles the deep feature; None where both have one size already.
    """

    def __init__(self, conv_block: type[nn.Module], in_channels: int, skip_channels: int, out_channels: int,
                 num_convs: int = 2, stride: int = 1, dilation: int = 1, with_cp: bool = False,
                 conv_cfg: dict | None = None, norm_cfg: dict = _BN, act_cfg: dict = _RELU,
                 upsample_cfg: dict | None = _INTERPOLATION, dcn: dict | None = None,
                 plugins: list[dict] | None = None):
        super().__init__()
        shared = dict(norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.conv_block = conv_block(in_channels=2 * skip_channels, out_channels=out_channels, num_convs=num_convs,
                                     stride=stride, dilation=dilation, with_cp=with_cp, conv_cfg=conv_cfg, dcn=dcn,
                                     plugins=plugins, **shared)
        if upsample_cfg is None:
            self.upsample = ConvModule(in_channels, skip_channels, 1, conv_cfg=conv_cfg, **shared)
        else:
            self.upsample = MODELS.build(dict(upsample_cfg, in_channels=in_channels, out_channels=skip_channels,
                                              with_cp=with_cp, **shared))

    def forward(self, skip: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """(B, skip_channels, 2H, 2W) and (B, in_channels, H, W) -> (B, out_channels, 2H, 2W)."""
        return self.conv_block(torch.cat([skip, self.upsample(x)], dim=1))
