"""PIDNet: A Real-time Semantic Segmentation Network Inspired by PID Controllers, https://arxiv.org/abs/2206.02066.

Three branches stand for the parts of such a controller: proportional (P, detail), integral (I, context) and derivative
(D, boundaries).
"""
from __future__ import annotations

import warnings
from functools import partial

import torch
from mmcv.cnn import ConvModule, build_activation_layer
from mmengine.model import BaseModule
from torch import nn

from mmseg.models.utils.backbone_options import CONV_INIT
from mmseg.models.utils.basic_block import BasicBlock, Bottleneck, residual_stage, stem_of_stride_8
from mmseg.models.utils.ppm import DAPPM, PAPPM
from mmseg.ops import resize
from mmseg.registry import MODELS

_BN = dict(type='BN')
_RELU = dict(type='ReLU', inplace=True)
_NORM_FIRST = dict(order=('norm', 'act', 'conv'))


class PagFM(BaseModule):
    """Pixel-attention-guided fusion: where detail and context agree, take the context, elsewhere the detail.

    Args:
        in_channels: of both inputs.
        channels: in which they are compared.
        after_relu: rectify both inputs first, by `act_cfg` (ReLU where None).
        with_channel: compare each channel for itself, not the pixel as a whole.
        upsample_mode: how the context is enlarged.
    """

    def __init__(self, in_channels: int, channels: int, after_relu: bool = False, with_channel: bool = False,
                 upsample_mode: str = 'bilinear', norm_cfg: dict = _BN, act_cfg: dict | None = None,
                 init_cfg: dict | list | None = None):
        super().__init__(init_cfg)
        self.upsample_mode = upsample_mode
        options = dict(norm_cfg=norm_cfg, act_cfg=None)
        self.f_i = ConvModule(in_channels, channels, 1, **options)
        self.f_p = ConvModule(in_channels, channels, 1, **options)
        self.up = ConvModule(channels, in_channels, 1, **options) if with_channel else None
        self.relu = build_activation_layer(act_cfg or dict(type='ReLU')) if after_relu else nn.Identity()

    def forward(self, x_p: torch.Tensor, x_i: torch.Tensor) -> torch.Tensor:
        """Detail (B, C, H, W) and context (B, C, h, w) -> (B, C, H, W)."""
        x_p, x_i = self.relu(x_p), self.relu(x_i)
        product = self.f_p(x_p) * self._enlarge(self.f_i(x_i), x_p)
        agreement = self.up(product) if self.up is not None else product.sum(dim=1, keepdim=True)
        return x_p + agreement.sigmoid() * (self._enlarge(x_i, x_p) - x_p)

    def _enlarge(self, x: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return resize(x, target.shape[2:], mode=self.upsample_mode, align_corners=False)


class Bag(BaseModule):
    """Boundary-attention-guided fusion: detail on boundaries, context off them, and a convolution of the mixture.

    Args:
        conv_cfg: further arguments of that :class:`mmcv.cnn.ConvModule`.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, padding: int = 1,
                 norm_cfg: dict = _BN, act_cfg: dict | None = _RELU, conv_cfg: dict = _NORM_FIRST,
                 init_cfg: dict | list | None = None):
        super().__init__(init_cfg)
        self.conv = ConvModule(in_channels, out_channels, kernel_size, padding=padding, norm_cfg=norm_cfg,
                               act_cfg=act_cfg, **conv_cfg)

    def forward(self, x_p: torch.Tensor, x_i: torch.Tensor, x_d: torch.Tensor) -> torch.Tensor:
        """Detail, context and boundary features (B, in_channels, H, W) -> (B, out_channels, H, W)."""
        return self.conv(x_i + x_d.sigmoid() * (x_p - x_i))


class LightBag(BaseModule):
    """:class:`Bag` with two 1x1 convolutions in place of the large one."""

    def __init__(self, in_channels: int, out_channels: int, norm_cfg: dict = _BN, act_cfg: dict | None = None,
                 init_cfg: dict | list | None = None):
        super().__init__(init_cfg)
        self.f_p = ConvModule(in_channels, out_channels, 1, norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.f_i = ConvModule(in_channels, out_channels, 1, norm_cfg=norm_cfg, act_cfg=act_cfg)

    def forward(self, x_p: torch.Tensor, x_i: torch.Tensor, x_d: torch.Tensor) -> torch.Tensor:
        """Detail, context and boundary features (B, in_channels, H, W) -> (B, out_channels, H, W)."""
        boundary = x_d.sigmoid()
        return self.f_p(x_p + (1 - boundary) * x_i) + self.f_i(x_i + boundary * x_p)


def _projection(in_channels: int, out_channels: int, stride: int, norm_cfg: dict) -> ConvModule:
    return ConvModule(in_channels, out_channels, 1, stride=stride, norm_cfg=norm_cfg, act_cfg=None)


@MODELS.register_module()
class PIDNet(BaseModule):
    """PIDNet in three sizes: S and M with `num_stem_blocks` 2 have the light modules, L with 3 the large ones.

    Args:
        in_channels: of the image.
        channels: of the stem: 32 (S) or 64 (M, L).
        ppm_channels: of each scale of the pyramid pooling.
        num_stem_blocks: blocks of each stage in the stem and in the detail branch.
        num_branch_blocks: blocks of each stage in the context branch.
        align_corners: how features of the context are enlarged.
        kwargs: nothing; what is given here is ignored with a warning.

    Attributes:
        out_channels, out_strides: of the feature that evaluation returns, (4 * channels,) and (8,).
    """

    def __init__(self, in_channels: int = 3, channels: int = 64, ppm_channels: int = 96, num_stem_blocks: int = 2,
                 num_branch_blocks: int = 3, align_corners: bool = False, norm_cfg: dict = _BN, act_cfg: dict = _RELU,
                 init_cfg: dict | list | None = None, **kwargs):
        super().__init__([*CONV_INIT, *([init_cfg] if isinstance(init_cfg, dict) else init_cfg or ())])
        if kwargs:
            warnings.warn(f'PIDNet does not know {", ".join(kwargs)}: ignored', stacklevel=2)
        self.align_corners = align_corners
        stage = partial(residual_stage, project=_projection, norm_cfg=norm_cfg, act_cfg=act_cfg)
        linear = partial(ConvModule, norm_cfg=norm_cfg, act_cfg=None)
        small = num_stem_blocks == 2
        wide, wider, widest = channels * 2, channels * 4, channels * 8

        self.relu = nn.ReLU()
        self.stem = stem_of_stride_8(in_channels, channels, num_stem_blocks, stage, norm_cfg, act_cfg)
        self.i_branch_layers = nn.ModuleList([
            stage(BasicBlock, wide, wider, num_branch_blocks, stride=2),
            stage(BasicBlock, wider, widest, num_branch_blocks, stride=2),
            stage(Bottleneck, widest, widest, 2, stride=2)])
        self.p_branch_layers = nn.ModuleList([
            stage(BasicBlock, wide, wide, num_stem_blocks), stage(BasicBlock, wide, wide, num_stem_blocks),
            stage(Bottleneck, wide, wide, 1)])
        self.compression_1, self.compression_2 = linear(wider, wide, 1), linear(widest, wide, 1)
        self.pag_1, self.pag_2 = (PagFM(wide, channels, norm_cfg=norm_cfg, act_cfg=act_cfg) for _ in range(2))

        narrow = channels if small else wide
        self.d_branch_layers = nn.ModuleList([
            _boundary_block(wide, narrow, norm_cfg, act_cfg),
            stage(Bottleneck, narrow, narrow, 1) if small else _boundary_block(narrow, wide, norm_cfg, act_cfg),
            stage(Bottleneck, wide, wide, 1)])
        self.diff_1, self.diff_2 = linear(wider, narrow, 3, padding=1), linear(widest, wide, 3, padding=1)

        pyramid, fusion = (PAPPM, LightBag) if small else (DAPPM, Bag)
        self.spp = pyramid(channels * 16, ppm_channels, wider, num_scales=5, norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.dfm = fusion(wider, wider, norm_cfg=norm_cfg, act_cfg=None if small else act_cfg)
        self.out_channels, self.out_strides = (wider,), (8,)

    def forward(self, x: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """(B, in_channels, H, W) -> (B, 4 channels, H / 8, W / 8).

        Training returns that between an earlier feature of detail and one of boundaries, of 2 channels each.
        """
        to_p, to_i, to_d, relu = self.p_branch_layers, self.i_branch_layers, self.d_branch_layers, self.relu
        x = self.stem(x)
        i = relu(to_i[0](x))
        p = early_p = self.pag_1(to_p[0](x), self.compression_1(i))
        d = self._add(to_d[0](x), self.diff_1(i))

        i = relu(to_i[1](i))
        p = self.pag_2(to_p[1](relu(p)), self.compression_2(i))
        d = early_d = self._add(to_d[1](relu(d)), self.diff_2(i))

        i = self.spp(to_i[2](i))
        p, d = to_p[2](relu(p)), to_d[2](relu(d))
        fused = self.dfm(p, self._enlarge(i, p), d)
        return (early_p, fused, early_d) if self.training else fused

    def _add(self, x: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
        return x + self._enlarge(coarse, x)

    def _enlarge(self, x: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return resize(x, target.shape[2:], mode='bilinear', align_corners=self.align_corners, warning=False)


def _boundary_block(in_channels: int, channels: int, norm_cfg: dict, act_cfg: dict) -> BasicBlock:
    shortcut = None if in_channels == channels else _projection(in_channels, channels, 1, norm_cfg)
    return BasicBlock(in_channels, channels, downsample=shortcut, norm_cfg=norm_cfg, act_cfg=act_cfg, act_cfg_out=None)
