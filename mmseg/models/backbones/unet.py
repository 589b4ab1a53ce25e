"""U-Net: Convolutional Networks for Biomedical Image Segmentation, https://arxiv.org/abs/1505.04597."""
from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from operator import mul

import torch
from mmcv.cnn import ConvModule, build_activation_layer, build_norm_layer
from torch import nn

from mmseg.models.utils import Upsample
from mmseg.models.utils.backbone_options import CONV_INIT, FreezableBackbone, checkpointed, choose_init_cfg
from mmseg.models.utils.up_conv_block import UpConvBlock
from mmseg.registry import MODELS

_BN = dict(type='BN')
_RELU = dict(type='ReLU')
_INTERPOLATION = dict(type='InterpConv')
_BILINEAR = dict(scale_factor=2, mode='bilinear', align_corners=False)


class BasicConvBlock(nn.Module):
    """3x3 convolutions one after another: the first takes the stride, the others the dilation."""

    def __init__(self, in_channels: int, out_channels: int, num_convs: int = 2, stride: int = 1, dilation: int = 1,
                 with_cp: bool = False, conv_cfg: dict | None = None, norm_cfg: dict = _BN, act_cfg: dict = _RELU,
                 dcn: dict | None = None, plugins: list[dict] | None = None):
        super().__init__()
        _refuse(dcn, plugins)
        self.with_cp = with_cp
        shared = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.convs = nn.Sequential(
            ConvModule(in_channels, out_channels, 3, stride, padding=1, **shared),
            *(ConvModule(out_channels, out_channels, 3, padding=dilation, dilation=dilation, **shared)
              for _ in range(num_convs - 1)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H / stride, W / stride)."""
        return checkpointed(self, self.convs, x) if self.with_cp else self.convs(x)


def _refuse(dcn: dict | None, plugins: list[dict] | None) -> None:
    if dcn is not None or plugins is not None:
        raise NotImplementedError(f'UNet takes neither deformable convolutions nor plugins: leave dcn ({dcn}) and '
                                  f'plugins ({plugins}) out, or write a conv_block of your own')


@MODELS.register_module()
class DeconvModule(nn.Module):
    """Enlarge by a transposed convolution.

    Args:
        kernel_size: of the convolution; `scale_factor` or larger by an even number.
        scale_factor: times which the feature grows.
    """

    def __init__(self, in_channels: int, out_channels: int, with_cp: bool = False, norm_cfg: dict = _BN,
                 act_cfg: dict = _RELU, *, kernel_size: int = 4, scale_factor: int = 2):
        super().__init__()
        border = kernel_size - scale_factor
        if border < 0 or border % 2:
            raise ValueError(f'kernel_size must be scale_factor plus an even number, found kernel_size {kernel_size} '
                             f'and scale_factor {scale_factor}')
        self.with_cp = with_cp
        self.deconv_upsamping = nn.Sequential(  # sic: the name is part of published weights
            nn.ConvTranspose2d(in_channels, out_channels, kernel_size, scale_factor, padding=border // 2),
            build_norm_layer(norm_cfg, out_channels)[1],
            build_activation_layer(act_cfg))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H * scale_factor, W * scale_factor)."""
        return checkpointed(self, self.deconv_upsamping, x) if self.with_cp else self.deconv_upsamping(x)


@MODELS.register_module()
class InterpConv(nn.Module):
    """Enlarge by interpolation, and convolve after it or, with `conv_first`, before it.

    Args:
        kernel_size, stride, padding: of the convolution.
        upsample_cfg: arguments of :class:`mmseg.models.utils.Upsample`.
    """

    def __init__(self, in_channels: int, out_channels: int, with_cp: bool = False, norm_cfg: dict = _BN,
                 act_cfg: dict = _RELU, *, conv_cfg: dict | None = None, conv_first: bool = False,
                 kernel_size: int = 1, stride: int = 1, padding: int = 0, upsample_cfg: dict = _BILINEAR):
        super().__init__()
        self.with_cp = with_cp
        conv = ConvModule(in_channels, out_channels, kernel_size, stride, padding, conv_cfg=conv_cfg,
                          norm_cfg=norm_cfg, act_cfg=act_cfg)
        enlarge = Upsample(**upsample_cfg)
        self.interp_upsample = nn.Sequential(conv, enlarge) if conv_first else nn.Sequential(enlarge, conv)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, 2H, 2W), or as `upsample_cfg` and `stride` say."""
        return checkpointed(self, self.interp_upsample, x) if self.with_cp else self.interp_upsample(x)


@MODELS.register_module()
class UNet(FreezableBackbone):
    """An encoder that halves the size and doubles the channels, and a decoder that goes back over skip connections.

    Returns the deepest feature and each step of the decoder, `num_stages` in all, from coarse to fine. Height and width
    must be divisible by the stride of the deepest.

    Args:
        in_channels: of the image.
        base_channels: of the first stage.
        num_stages: of the encoder; the decoder has one less.
        strides: of the encoder's stages.
        enc_num_convs: convolutions in each stage of the encoder.
        dec_num_convs: convolutions in each stage of the decoder, from fine to coarse.
        downsamples: whether each stage after the first is half as large; by pooling, where its stride is 1.
        enc_dilations, dec_dilations: of the stages' convolutions.
        with_cp: compute activations again in the backward pass rather than keep them.
        upsample_cfg: module by which the decoder enlarges: `InterpConv` or `DeconvModule`.
        norm_eval: keep the running statistics of every batch normalisation.
        dcn, plugins: not available, must be None.
        pretrained: address of weights, short for `init_cfg=dict(type='Pretrained', checkpoint=...)`.

    Attributes:
        out_channels, out_strides: of each returned feature.
    """

    def __init__(self,
                 in_channels: int = 3,
                 base_channels: int = 64,
                 num_stages: int = 5,
                 strides: Sequence[int] = (1, 1, 1, 1, 1),
                 enc_num_convs: Sequence[int] = (2, 2, 2, 2, 2),
                 dec_num_convs: Sequence[int] = (2, 2, 2, 2),
                 downsamples: Sequence[bool] = (True, True, True, True),
                 enc_dilations: Sequence[int] = (1, 1, 1, 1, 1),
                 dec_dilations: Sequence[int] = (1, 1, 1, 1),
                 with_cp: bool = False,
                 conv_cfg: dict | None = None,
                 norm_cfg: dict = _BN,
                 act_cfg: dict = _RELU,
                 upsample_cfg: dict = _INTERPOLATION,
                 norm_eval: bool = False,
                 dcn: dict | None = None,
                 plugins: list[dict] | None = None,
                 pretrained: str | None = None,
                 init_cfg: dict | list | None = None):
        super().__init__(choose_init_cfg(pretrained, init_cfg, default=list(CONV_INIT)))
        _refuse(dcn, plugins)
        for name, values, expected in (
                ('strides', strides, num_stages), ('enc_num_convs', enc_num_convs, num_stages),
                ('enc_dilations', enc_dilations, num_stages), ('dec_num_convs', dec_num_convs, num_stages - 1),
                ('downsamples', downsamples, num_stages - 1), ('dec_dilations', dec_dilations, num_stages - 1)):
            if len(values) != expected:
                raise ValueError(f'{num_stages} stages need {expected} {name}, found {len(values)}: {tuple(values)}')
        self.norm_eval = norm_eval
        shared = dict(with_cp=with_cp, conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)
        channels = [base_channels * 2**i for i in range(num_stages)]

        self.encoder = nn.ModuleList()
        self.decoder = nn.ModuleList()
        for i, wide in enumerate(channels):
            # A stride halves by itself; a stage of stride 1 that is to be smaller pools first.
            pools = i > 0 and strides[i] == 1 and downsamples[i - 1]
            convs = BasicConvBlock(channels[i - 1] if i else in_channels, wide, num_convs=enc_num_convs[i],
                                   stride=strides[i], dilation=enc_dilations[i], **shared)
            self.encoder.append(nn.Sequential(*([nn.MaxPool2d(2)] if pools else []), convs))
            if i > 0:
                enlarges = strides[i] != 1 or downsamples[i - 1]
                self.decoder.append(UpConvBlock(
                    BasicConvBlock, wide, channels[i - 1], channels[i - 1], num_convs=dec_num_convs[i - 1],
                    dilation=dec_dilations[i - 1], upsample_cfg=upsample_cfg if enlarges else None, **shared))

        steps = [2 if i > 0 and downsamples[i - 1] and strides[i] == 1 else strides[i] for i in range(num_stages)]
        self.out_channels = tuple(reversed(channels))
        self.out_strides = tuple(reversed(list(accumulate(steps, mul))))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(B, in_channels, H, W) -> a feature (B, C, H / stride, W / stride) of each stage, the coarsest first."""
        self._check_size(*x.shape[-2:])
        skips = []
        for stage in self.encoder:
            x = stage(x)
            skips.append(x)
        features = [skips.pop()]
        for stage in reversed(self.decoder):
            features.append(stage(skips.pop(), features[-1]))
        return tuple(features)

    def _check_size(self, height: int, width: int) -> None:
        stride = max(self.out_strides)
        if height % stride or width % stride:
            near = [-(-side // stride) * stride for side in (height, width)]
            raise ValueError(f'UNet needs a height and width divisible by {stride}, found {height} x {width}: pad to '
                             f'{near[0]} x {near[1]} with size_divisor={stride} in data_preprocessor (in test_cfg of '
                             'it for testing)')
