"""The encoder of SegFormer, Mix Vision Transformer (MiT), https://arxiv.org/abs/2105.15203."""
from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from operator import mul

import torch
import torch.nn.functional as F
from mmcv.cnn import build_activation_layer, build_norm_layer
from mmengine.model import BaseModule, ModuleList, Sequential
from torch import nn

from mmseg.models.utils import nchw_to_nlc, nlc_to_nchw
from mmseg.models.utils.attention import (
    MultiheadAttention,
    TransformerBackbone,
    drop_path,
    drop_path_rates,
    project_and_attend,
)
from mmseg.models.utils.backbone_options import checkpointed, choose_init_cfg
from mmseg.models.utils.embed import PatchEmbed
from mmseg.registry import MODELS

_GELU = dict(type='GELU')
_LN = dict(type='LN')
_EXACT_LN = dict(type='LN', eps=1e-6)


class MixFFN(BaseModule):
    """A feed-forward layer with a depthwise 3x3 convolution, which tells the tokens their position by zero padding.

    Args:
        embed_dims: channels of the tokens.
        feedforward_channels: channels between its two linear maps, which are written as 1x1 convolutions.
        ffn_drop: dropout after each of them.
        dropout_layer: config of what comes before the shortcut, such as `dict(type='DropPath', drop_prob=0.1)`.
    """

    def __init__(self, embed_dims: int, feedforward_channels: int, act_cfg: dict = _GELU, ffn_drop: float = 0.,
                 dropout_layer: dict | None = None, init_cfg: dict | None = None):
        super().__init__(init_cfg)
        self.embed_dims = embed_dims
        self.feedforward_channels = feedforward_channels
        wide = feedforward_channels
        self.layers = Sequential(nn.Conv2d(embed_dims, wide, 1), nn.Conv2d(wide, wide, 3, padding=1, groups=wide),
                                 build_activation_layer(act_cfg), nn.Dropout(ffn_drop),
                                 nn.Conv2d(wide, embed_dims, 1), nn.Dropout(ffn_drop))
        self.dropout_layer = MODELS.build(dropout_layer) if dropout_layer else nn.Identity()

    def forward(self, x: torch.Tensor, hw_shape: tuple[int, int],
                identity: torch.Tensor | None = None) -> torch.Tensor:
        """Tokens (B, H W, C) -> the same shape, added to `identity`, or to the input."""
        out = nchw_to_nlc(self.layers(nlc_to_nchw(x, hw_shape)))
        return (x if identity is None else identity) + self.dropout_layer(out)


class EfficientMultiheadAttention(MultiheadAttention):
    """Attention to keys and values from which a strided convolution makes fewer by the square of `sr_ratio`.

    Args:
        embed_dims: channels of the tokens.
        attn_drop, proj_drop: dropout of the attention weights and of the output.
        dropout_layer: config of what comes before the shortcut.
        batch_first: whether sequences are (B, N, C) or (N, B, C).
        sr_ratio: side of the square of tokens that become one.
    """

    def __init__(self, embed_dims: int, num_heads: int, attn_drop: float = 0., proj_drop: float = 0.,
                 dropout_layer: dict | None = None, init_cfg: dict | None = None, batch_first: bool = True,
                 qkv_bias: bool = False, norm_cfg: dict = _LN, sr_ratio: int = 1):
        super().__init__(embed_dims, num_heads, attn_drop, proj_drop, dropout_layer, init_cfg, batch_first, qkv_bias)
        self.sr_ratio = sr_ratio
        if sr_ratio > 1:
            self.sr = nn.Conv2d(embed_dims, embed_dims, sr_ratio, stride=sr_ratio)
            self.norm = build_norm_layer(norm_cfg, embed_dims)[1]

    def _reduce(self, x: torch.Tensor, hw_shape: tuple[int, int]) -> torch.Tensor:
        """Make the keys fewer: (B, H W, C) -> (B, (H / sr_ratio) (W / sr_ratio), C)."""
        if self.sr_ratio <= 1:
            return x
        feature = nlc_to_nchw(x, hw_shape)
        # A map smaller than the kernel is filled up with zeros: it has one key then.
        missing = [max(0, self.sr_ratio - side) for side in hw_shape]
        if any(missing):
            feature = F.pad(feature, (0, missing[1], 0, missing[0]))
        return self.norm(nchw_to_nlc(self.sr(feature)))

    def forward(self, x: torch.Tensor, hw_shape: tuple[int, int],
                identity: torch.Tensor | float | None = None) -> torch.Tensor:
        """Tokens of a map (H, W) -> the same shape, added to `identity`, or to the input."""
        tokens = x if self.batch_first else x.transpose(0, 1)
        key = self._reduce(tokens, hw_shape)
        out = project_and_attend(self.attn, tokens, key, key)
        out = out if self.batch_first else out.transpose(0, 1)
        return (x if identity is None else identity) + self.dropout_layer(self.proj_drop(out))

    def legacy_forward(self, x: torch.Tensor, hw_shape: tuple[int, int],
                       identity: torch.Tensor | float | None = None) -> torch.Tensor:
        """The same as `forward`: another way of computing it was needed for old versions of PyTorch only."""
        return self.forward(x, hw_shape, identity)


class TransformerEncoderLayer(BaseModule):
    """Efficient attention and a mixing feed-forward layer, each after a norm and beside a shortcut.

    Args:
        drop_rate: dropout of the layers' outputs.
        attn_drop_rate: dropout of the attention weights.
        drop_path_rate: probability that a sample takes the shortcut alone.
        sr_ratio: see :class:`EfficientMultiheadAttention`.
        with_cp: compute the activations again in the backward pass rather than keep them.
    """

    def __init__(self, embed_dims: int, num_heads: int, feedforward_channels: int, drop_rate: float = 0.,
                 attn_drop_rate: float = 0., drop_path_rate: float = 0., qkv_bias: bool = True,
                 act_cfg: dict = _GELU, norm_cfg: dict = _LN, batch_first: bool = True, sr_ratio: int = 1,
                 with_cp: bool = False):
        super().__init__()
        self.with_cp = with_cp
        self.norm1 = build_norm_layer(norm_cfg, embed_dims)[1]
        self.attn = EfficientMultiheadAttention(embed_dims, num_heads, attn_drop_rate, drop_rate,
                                                drop_path(drop_path_rate), batch_first=batch_first, qkv_bias=qkv_bias,
                                                norm_cfg=norm_cfg, sr_ratio=sr_ratio)
        self.norm2 = build_norm_layer(norm_cfg, embed_dims)[1]
        self.ffn = MixFFN(embed_dims, feedforward_channels, act_cfg, drop_rate, drop_path(drop_path_rate))

    def _layers(self, x: torch.Tensor, hw_shape: tuple[int, int]) -> torch.Tensor:
        x = self.attn(self.norm1(x), hw_shape, identity=x)
        return self.ffn(self.norm2(x), hw_shape, identity=x)

    def forward(self, x: torch.Tensor, hw_shape: tuple[int, int]) -> torch.Tensor:
        """Tokens (B, H W, C) of a map (H, W) -> the same shape."""
        if self.with_cp and x.requires_grad:
            return checkpointed(self, self._layers, x, hw_shape)
        return self._layers(x, hw_shape)


@MODELS.register_module()
class MixVisionTransformer(TransformerBackbone):
    """Stages of overlapping patch embedding and transformer layers; returns the features of `out_indices`.

    Args:
        in_channels: of the image.
        embed_dims: channels for each head: a stage has `embed_dims * num_heads[i]`.
        num_layers: of each stage.
        num_heads: of each stage's attention.
        patch_sizes, strides: of each stage's patch embedding.
        sr_ratios: by which each stage's keys and values are fewer, along a side.
        out_indices: stages whose output is returned.
        mlp_ratio: channels inside the feed-forward layers for each of the outer ones.
        qkv_bias: whether queries, keys and values have a bias.
        drop_rate, attn_drop_rate: dropout of outputs and of attention weights.
        drop_path_rate: of the last layer; the first one has 0.
        pretrained: address of weights, short for `init_cfg=dict(type='Pretrained', checkpoint=...)`.
        with_cp: keep the layers' inputs only and compute their activations again in the backward pass.

    Attributes:
        out_channels, out_strides: of each returned feature.
    """

    def __init__(self, in_channels: int = 3, embed_dims: int = 64, num_stages: int = 4,
                 num_layers: Sequence[int] = (3, 4, 6, 3), num_heads: Sequence[int] = (1, 2, 4, 8),
                 patch_sizes: Sequence[int] = (7, 3, 3, 3), strides: Sequence[int] = (4, 2, 2, 2),
                 sr_ratios: Sequence[int] = (8, 4, 2, 1), out_indices: Sequence[int] = (0, 1, 2, 3),
                 mlp_ratio: int = 4, qkv_bias: bool = True, drop_rate: float = 0., attn_drop_rate: float = 0.,
                 drop_path_rate: float = 0., act_cfg: dict = _GELU, norm_cfg: dict = _EXACT_LN,
                 pretrained: str | None = None, init_cfg: dict | list | None = None, with_cp: bool = False):
        super().__init__(choose_init_cfg(pretrained, init_cfg))
        per_stage = dict(num_layers=num_layers, num_heads=num_heads, patch_sizes=patch_sizes, strides=strides,
                         sr_ratios=sr_ratios)
        for name, values in per_stage.items():
            if len(values) != num_stages:
                raise ValueError(f'{name} needs one number for each of num_stages={num_stages}, found {list(values)}')
        if max(out_indices) >= num_stages:
            raise ValueError(f'out_indices {tuple(out_indices)} must be below num_stages, which is {num_stages}')
        self.embed_dims = embed_dims
        self.num_stages = num_stages
        self.out_indices = tuple(out_indices)
        self.with_cp = with_cp

        widths = [embed_dims * heads for heads in num_heads]
        rates = iter(drop_path_rates(drop_path_rate, sum(num_layers)))
        self.layers = ModuleList()
        for i, width in enumerate(widths):
            embed = PatchEmbed(widths[i - 1] if i else in_channels, width, kernel_size=patch_sizes[i],
                               stride=strides[i], padding=patch_sizes[i] // 2, norm_cfg=norm_cfg)
            blocks = ModuleList(
                TransformerEncoderLayer(width, num_heads[i], mlp_ratio * width, drop_rate, attn_drop_rate, next(rates),
                                        qkv_bias, act_cfg, norm_cfg, sr_ratio=sr_ratios[i], with_cp=with_cp)
                for _ in range(num_layers[i]))
            self.layers.append(ModuleList([embed, blocks, build_norm_layer(norm_cfg, width)[1]]))
        stage_strides = list(accumulate(strides, mul))
        self.out_channels = tuple(widths[i] for i in self.out_indices)
        self.out_strides = tuple(stage_strides[i] for i in self.out_indices)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(B, in_channels, H, W) -> a feature (B, C, H / stride, W / stride) of each stage in `out_indices`."""
        features = []
        for i, (embed, blocks, norm) in enumerate(self.layers):
            x, hw_shape = embed(x)
            for block in blocks:
                x = block(x, hw_shape)
            x = nlc_to_nchw(norm(x), hw_shape)
            if i in self.out_indices:
                features.append(x)
        return tuple(features)
