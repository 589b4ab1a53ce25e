"""The encoder of SegNeXt, Multi-Scale Convolutional Attention Network (MSCAN), https://arxiv.org/abs/2209.08575."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from mmcv.cnn import build_activation_layer, build_norm_layer
from mmcv.cnn.bricks import DropPath
from mmengine.model import BaseModule
from torch import nn

from mmseg.models.utils import nchw_to_nlc, nlc_to_nchw
from mmseg.models.utils.attention import drop_path_rates, init_transformer
from mmseg.models.utils.backbone_options import choose_init_cfg
from mmseg.registry import MODELS

_GELU = dict(type='GELU')
_SYNC_BN = dict(type='SyncBN', requires_grad=True)
_KERNELS = (5, (1, 7), (1, 11), (1, 21))
_PADDINGS = (2, (0, 3), (0, 5), (0, 10))


class Mlp(BaseModule):
    """Two linear maps of each place with a depthwise 3x3 convolution between them."""

    def __init__(self, in_features: int, hidden_features: int | None = None, out_features: int | None = None,
                 act_cfg: dict = _GELU, drop: float = 0.):
        super().__init__()
        hidden = hidden_features or in_features
        self.fc1 = nn.Conv2d(in_features, hidden, 1)
        self.dwconv = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.act = build_activation_layer(act_cfg)
        self.fc2 = nn.Conv2d(hidden, out_features or in_features, 1)
        self.drop = nn.Dropout(drop)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, in_features, H, W) -> (B, out_features, H, W)."""
        x = self.drop(self.act(self.dwconv(self.fc1(x))))
        return self.drop(self.fc2(x))


class StemConv(BaseModule):
    """Two strided 3x3 convolutions: an image -> tokens of stride 4."""

    def __init__(self, in_channels: int, out_channels: int, act_cfg: dict = _GELU, norm_cfg: dict = _SYNC_BN):
        super().__init__()
        half = out_channels // 2
        self.proj = nn.Sequential(
            nn.Conv2d(in_channels, half, 3, stride=2, padding=1), build_norm_layer(norm_cfg, half)[1],
            build_activation_layer(act_cfg),
            nn.Conv2d(half, out_channels, 3, stride=2, padding=1), build_norm_layer(norm_cfg, out_channels)[1])

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, int, int]:
        """(B, in_channels, H, W) -> tokens (B, h w, out_channels), h and w."""
        return _as_tokens(self.proj(x))


class MSCAAttention(BaseModule):
    """Weigh each place and channel by what depthwise convolutions of several sizes see around it.

    Args:
        kernel_sizes: of the first convolution, and of the strips that follow it: each (1, k) is also taken as (k, 1).
        paddings: that keep the size.
    """

    def __init__(self, channels: int, kernel_sizes: Sequence[int | Sequence[int]] = _KERNELS,
                 paddings: Sequence[int | Sequence[int]] = _PADDINGS):
        super().__init__()
        if len(kernel_sizes) != len(paddings):
            raise ValueError(f'each of {len(kernel_sizes)} kernel sizes needs its padding, found {len(paddings)}')

        def depthwise(kernel: int | Sequence[int], padding: int | Sequence[int]) -> nn.Conv2d:
            kernel, padding = (tuple(x) if isinstance(x, Sequence) else x for x in (kernel, padding))
            return nn.Conv2d(channels, channels, kernel, padding=padding, groups=channels)

        self.conv0 = depthwise(kernel_sizes[0], paddings[0])
        self.num_strips = len(kernel_sizes) - 1
        for i, (kernel, padding) in enumerate(zip(kernel_sizes[1:], paddings[1:])):
            self.add_module(f'conv{i}_1', depthwise(kernel, padding))
            self.add_module(f'conv{i}_2', depthwise(kernel[::-1], padding[::-1]))
        self.conv3 = nn.Conv2d(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, channels, H, W) -> the same shape."""
        near = self.conv0(x)
        strips = (getattr(self, f'conv{i}_2')(getattr(self, f'conv{i}_1')(near)) for i in range(self.num_strips))
        return self.conv3(sum(strips, near)) * x


class MSCASpatialAttention(BaseModule):
    """:class:`MSCAAttention` between two linear maps of each place, beside a shortcut."""

    def __init__(self, in_channels: int, attention_kernel_sizes: Sequence[int | Sequence[int]] = _KERNELS,
                 attention_kernel_paddings: Sequence[int | Sequence[int]] = _PADDINGS, act_cfg: dict = _GELU):
        super().__init__()
        self.proj_1 = nn.Conv2d(in_channels, in_channels, 1)
        self.activation = build_activation_layer(act_cfg)
        self.spatial_gating_unit = MSCAAttention(in_channels, attention_kernel_sizes, attention_kernel_paddings)
        self.proj_2 = nn.Conv2d(in_channels, in_channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, in_channels, H, W) -> the same shape."""
        return x + self.proj_2(self.spatial_gating_unit(self.activation(self.proj_1(x))))


class MSCABlock(BaseModule):
    """Attention and a feed-forward layer, each after a norm and beside a shortcut, with a learned scale of channels.

    Args:
        mlp_ratio: channels inside the feed-forward layer for each of `channels`.
        drop: dropout of the feed-forward layer.
        drop_path: probability that a sample takes the shortcut alone.
    """

    def __init__(self, channels: int, attention_kernel_sizes: Sequence[int | Sequence[int]] = _KERNELS,
                 attention_kernel_paddings: Sequence[int | Sequence[int]] = _PADDINGS, mlp_ratio: float = 4.,
                 drop: float = 0., drop_path: float = 0., act_cfg: dict = _GELU, norm_cfg: dict = _SYNC_BN):
        super().__init__()
        self.norm1 = build_norm_layer(norm_cfg, channels)[1]
        self.attn = MSCASpatialAttention(channels, attention_kernel_sizes, attention_kernel_paddings, act_cfg)
        self.norm2 = build_norm_layer(norm_cfg, channels)[1]
        self.mlp = Mlp(channels, int(channels * mlp_ratio), act_cfg=act_cfg, drop=drop)
        self.drop_path = DropPath(drop_path)
        self.layer_scale_1 = nn.Parameter(torch.full((channels,), 1e-2))
        self.layer_scale_2 = nn.Parameter(torch.full((channels,), 1e-2))

    def forward(self, x: torch.Tensor, H: int, W: int) -> torch.Tensor:
        """Tokens (B, H W, channels) of a map (H, W) -> the same shape."""
        x = nlc_to_nchw(x, (H, W))
        x = x + self.drop_path(self.layer_scale_1[:, None, None] * self.attn(self.norm1(x)))
        x = x + self.drop_path(self.layer_scale_2[:, None, None] * self.mlp(self.norm2(x)))
        return nchw_to_nlc(x)


class OverlapPatchEmbed(BaseModule):
    """A strided convolution whose patches overlap, and a norm."""

    def __init__(self, patch_size: int = 7, stride: int = 4, in_channels: int = 3, embed_dim: int = 768,
                 norm_cfg: dict = _SYNC_BN):
        super().__init__()
        self.proj = nn.Conv2d(in_channels, embed_dim, patch_size, stride=stride, padding=patch_size // 2)
        self.norm = build_norm_layer(norm_cfg, embed_dim)[1]

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, int, int]:
        """(B, in_channels, H, W) -> tokens (B, h w, embed_dim), h and w."""
        return _as_tokens(self.norm(self.proj(x)))


def _as_tokens(x: torch.Tensor) -> tuple[torch.Tensor, int, int]:
    return nchw_to_nlc(x), *x.shape[2:]


@MODELS.register_module()
class MSCAN(BaseModule):
    """Stages of patch embedding and :class:`MSCABlock`; returns the features of all stages, of stride 4, 8, 16, 32.

    Args:
        in_channels: of the image.
        embed_dims: channels of each stage.
        mlp_ratios: channels inside the feed-forward layers for each of the stage's.
        drop_rate: dropout of the feed-forward layers.
        drop_path_rate: of the last block; the first one has 0.
        depths: blocks of each stage.
        attention_kernel_sizes, attention_kernel_paddings: see :class:`MSCAAttention`.
        pretrained: address of weights, short for `init_cfg=dict(type='Pretrained', checkpoint=...)`.

    Attributes:
        out_channels, out_strides: of each returned feature.
    """

    def __init__(self, in_channels: int = 3, embed_dims: Sequence[int] = (64, 128, 256, 512),
                 mlp_ratios: Sequence[float] = (4, 4, 4, 4), drop_rate: float = 0., drop_path_rate: float = 0.,
                 depths: Sequence[int] = (3, 4, 6, 3), num_stages: int = 4,
                 attention_kernel_sizes: Sequence[int | Sequence[int]] = _KERNELS,
                 attention_kernel_paddings: Sequence[int | Sequence[int]] = _PADDINGS, act_cfg: dict = _GELU,
                 norm_cfg: dict = _SYNC_BN, pretrained: str | None = None, init_cfg: dict | list | None = None):
        super().__init__(choose_init_cfg(pretrained, init_cfg))
        for name, values in dict(embed_dims=embed_dims, mlp_ratios=mlp_ratios, depths=depths).items():
            if len(values) < num_stages:
                raise ValueError(f'{name} needs a number for each of num_stages={num_stages}, found {list(values)}')
        self.depths = depths
        self.num_stages = num_stages
        rates = iter(drop_path_rates(drop_path_rate, sum(depths)))
        for i in range(num_stages):
            width = embed_dims[i]
            self.add_module(f'patch_embed{i + 1}', OverlapPatchEmbed(3, 2, embed_dims[i - 1], width, norm_cfg) if i else
                            StemConv(in_channels, width, act_cfg, norm_cfg))
            self.add_module(f'block{i + 1}', nn.ModuleList(
                MSCABlock(width, attention_kernel_sizes, attention_kernel_paddings, mlp_ratios[i], drop_rate,
                          next(rates), act_cfg, norm_cfg) for _ in range(depths[i])))
            self.add_module(f'norm{i + 1}', nn.LayerNorm(width))
        self.out_channels = tuple(embed_dims[:num_stages])
        self.out_strides = tuple(4 * 2**i for i in range(num_stages))

    def init_weights(self) -> None:
        """Load what `init_cfg` names, or start anew as the paper does."""
        if self.init_cfg is None:
            init_transformer(self)
        else:
            super().init_weights()

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(B, in_channels, H, W) -> a feature (B, C, H / stride, W / stride) of each stage."""
        features = []
        for i in range(1, self.num_stages + 1):
            x, height, width = getattr(self, f'patch_embed{i}')(x)
            for block in getattr(self, f'block{i}'):
                x = block(x, height, width)
            x = nlc_to_nchw(getattr(self, f'norm{i}')(x), (height, width))
            features.append(x)
        return tuple(features)
