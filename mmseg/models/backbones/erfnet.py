"""ERFNet: Efficient Residual Factorized ConvNet for Real-time Semantic Segmentation,
https://doi.org/10.1109/TITS.2017.2750080.
"""
from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, islice

import torch
from mmcv.cnn import build_activation_layer, build_conv_layer, build_norm_layer
from mmengine.model import BaseModule
from torch import nn

from mmseg.registry import MODELS

_BN = dict(type='BN', eps=1e-3)
_LEARNING_BN = dict(type='BN', requires_grad=True)
_RELU = dict(type='ReLU')


class DownsamplerBlock(BaseModule):
    """Halve the size: a convolution gives the new channels, a pooling beside it keeps those of the input."""

    def __init__(self, in_channels: int, out_channels: int, conv_cfg: dict | None = None, norm_cfg: dict = _BN,
                 act_cfg: dict = _RELU, init_cfg: dict | list | None = None):
        super().__init__(init_cfg)
        if out_channels <= in_channels:
            raise ValueError(f'out_channels ({out_channels}) must exceed in_channels ({in_channels}), which are among '
                             'them')
        self.conv = build_conv_layer(conv_cfg, in_channels, out_channels - in_channels, 3, stride=2, padding=1)
        self.pool = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.bn = build_norm_layer(norm_cfg, out_channels)[1]
        self.act = build_activation_layer(act_cfg)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H / 2, W / 2), rounded up."""
        return self.act(self.bn(torch.cat([self.conv(input), self.pool(input)], dim=1)))


class NonBottleneck1d(BaseModule):
    """A residual block whose 3x3 convolutions are pairs of a 3x1 and a 1x3 one.

    Args:
        drop_rate: of the dropout after each pair but the first.
        dilation: of each pair but the first.
        num_conv_layer: number of pairs.
    """

    def __init__(self, channels: int, drop_rate: float = 0, dilation: int = 1, num_conv_layer: int = 2,
                 conv_cfg: dict | None = None, norm_cfg: dict = _BN, act_cfg: dict = _RELU,
                 init_cfg: dict | list | None = None):
        super().__init__(init_cfg)
        self.act = build_activation_layer(act_cfg)
        layers = []
        for i in range(num_conv_layer):
            rate = dilation if i else 1
            layers += [
                build_conv_layer(conv_cfg, channels, channels, (3, 1), padding=(rate, 0), dilation=(rate, 1)),
                self.act,
                build_conv_layer(conv_cfg, channels, channels, (1, 3), padding=(0, rate), dilation=(1, rate)),
                build_norm_layer(norm_cfg, channels)[1],
                nn.Dropout(drop_rate) if i else self.act]
        self.convs_layers = nn.Sequential(*layers)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """(B, channels, H, W) -> (B, channels, H, W)."""
        return self.act(self.convs_layers(input) + input)


class UpsamplerBlock(BaseModule):
    """Double the size by a transposed convolution."""

    def __init__(self, in_channels: int, out_channels: int, conv_cfg: dict | None = None, norm_cfg: dict = _BN,
                 act_cfg: dict = _RELU, init_cfg: dict | list | None = None):
        super().__init__(init_cfg)
        self.conv = nn.ConvTranspose2d(in_channels, out_channels, 3, stride=2, padding=1, output_padding=1)
        self.bn = build_norm_layer(norm_cfg, out_channels)[1]
        self.act = build_activation_layer(act_cfg)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, 2H, 2W)."""
        return self.act(self.bn(self.conv(input)))


@MODELS.register_module()
class ERFNet(BaseModule):
    """ERFNet without its classifier; returns one feature of stride 2.

    Args:
        in_channels: of the image.
        enc_downsample_channels: after each halving.
        enc_stage_non_bottlenecks: number of residual blocks after each halving but the first.
        enc_non_bottleneck_dilations: of the last stage's blocks, over and over.
        enc_non_bottleneck_channels: of these blocks.
        dec_upsample_channels: after each doubling.
        dec_stages_non_bottleneck: number of residual blocks after each doubling.
        dec_non_bottleneck_channels: of these blocks.
        dropout_ratio: in the encoder's blocks.

    Attributes:
        out_channels, out_strides: of the returned feature.
    """

    def __init__(self,
                 in_channels: int = 3,
                 enc_downsample_channels: Sequence[int] = (16, 64, 128),
                 enc_stage_non_bottlenecks: Sequence[int] = (5, 8),
                 enc_non_bottleneck_dilations: Sequence[int] = (2, 4, 8, 16),
                 enc_non_bottleneck_channels: Sequence[int] = (64, 128),
                 dec_upsample_channels: Sequence[int] = (64, 16),
                 dec_stages_non_bottleneck: Sequence[int] = (2, 2),
                 dec_non_bottleneck_channels: Sequence[int] = (64, 16),
                 dropout_ratio: float = 0.1,
                 conv_cfg: dict | None = None,
                 norm_cfg: dict = _LEARNING_BN,
                 act_cfg: dict = _RELU,
                 init_cfg: dict | list | None = None):
        super().__init__(init_cfg)
        self._check(enc_downsample_channels, enc_stage_non_bottlenecks, enc_non_bottleneck_channels,
                    dec_upsample_channels, dec_stages_non_bottleneck, dec_non_bottleneck_channels)
        shared = dict(conv_cfg=conv_cfg, norm_cfg=dict(_BN, **norm_cfg), act_cfg=act_cfg)  # the published eps
        first, *others = enc_downsample_channels
        self.encoder = nn.ModuleList([DownsamplerBlock(in_channels, first, **shared)])
        source = first
        for stage, (channels, blocks) in enumerate(zip(others, enc_stage_non_bottlenecks), 1):
            dilations = enc_non_bottleneck_dilations if stage == len(others) else (1,)
            self.encoder.append(DownsamplerBlock(source, channels, **shared))
            self.encoder.extend(NonBottleneck1d(channels, dropout_ratio, dilation, **shared)
                                for dilation in islice(cycle(dilations), blocks))
            source = channels
        self.decoder = nn.ModuleList()
        for channels, blocks in zip(dec_upsample_channels, dec_stages_non_bottleneck):
            self.decoder.append(UpsamplerBlock(source, channels, **shared))
            self.decoder.extend(NonBottleneck1d(channels, **shared) for _ in range(blocks))
            source = channels
        self.out_channels = (source,)
        self.out_strides = (2,)

    @staticmethod
    def _check(enc_downsample: Sequence[int], enc_blocks: Sequence[int], enc_channels: Sequence[int],
               dec_upsample: Sequence[int], dec_blocks: Sequence[int], dec_channels: Sequence[int]) -> None:
        if not len(enc_downsample) - 1 == len(enc_blocks) == len(dec_upsample) == len(dec_blocks):
            raise ValueError(
                f'{len(enc_downsample)} enc_downsample_channels need one less of enc_stage_non_bottlenecks, '
                f'dec_upsample_channels and dec_stages_non_bottleneck each, found {len(enc_blocks)}, '
                f'{len(dec_upsample)} and {len(dec_blocks)}')
        for name, found, source, expected in (
                ('enc_non_bottleneck_channels', enc_channels, 'enc_downsample_channels[1:]', enc_downsample[1:]),
                ('dec_non_bottleneck_channels', dec_channels, 'dec_upsample_channels', dec_upsample)):
            if list(found) != list(expected):
                raise ValueError(f'{name} must equal {source}, {tuple(expected)}: found {tuple(found)}')

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor]:
        """(B, in_channels, H, W) -> one feature (B, dec_upsample_channels[-1], H / 2, W / 2), rounded up."""
        height, width = ((side + 1) // 2 for side in x.shape[2:])
        for layer in (*self.encoder, *self.decoder):
            x = layer(x)
        return (x[:, :, :height, :width],)  # a size that does not halve evenly was rounded up on the way
