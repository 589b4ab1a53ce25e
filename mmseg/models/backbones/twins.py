"""Twins: the position encoding and attention of PCPVT and SVT, https://arxiv.org/abs/2104.13840."""
from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from operator import mul

import torch
from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule, ModuleList
from torch import nn

from mmseg.models.backbones.mit import EfficientMultiheadAttention
from mmseg.models.utils import nchw_to_nlc, nlc_to_nchw
from mmseg.models.utils.attention import FFN, TransformerBackbone, drop_path, drop_path_rates, multi_head
from mmseg.models.utils.backbone_options import choose_init_cfg
from mmseg.models.utils.embed import PatchEmbed
from mmseg.models.utils.window_attention import pad_to_windows, partition, unpartition, within_region
from mmseg.ops.sizes import same_size
from mmseg.registry import MODELS

_GELU = dict(type='GELU')
_LN = dict(type='LN')


class GlobalSubsampledAttention(EfficientMultiheadAttention):
    """Attention of all tokens to keys made from squares of `sr_ratio` tokens."""

    def __init__(self, embed_dims: int, num_heads: int, attn_drop: float = 0., proj_drop: float = 0.,
                 dropout_layer: dict | None = None, batch_first: bool = True, qkv_bias: bool = True,
                 norm_cfg: dict = _LN, sr_ratio: int = 1, init_cfg: dict | None = None):
        super().__init__(embed_dims, num_heads, attn_drop, proj_drop, dropout_layer, init_cfg, batch_first, qkv_bias,
                         norm_cfg, sr_ratio)


class LocallyGroupedSelfAttention(BaseModule):
    """Attention within the windows of a map; what pads the map to whole windows is not seen.

    Args:
        embed_dims: channels of the tokens.
        qk_scale: factor of the products; one over the square root of a head's channels where None.
        attn_drop_rate, proj_drop_rate: dropout of the attention weights and of the output.
        window_size: side of a window.
    """

    def __init__(self, embed_dims: int, num_heads: int = 8, qkv_bias: bool = False, qk_scale: float | None = None,
                 attn_drop_rate: float = 0., proj_drop_rate: float = 0., window_size: int = 1,
                 init_cfg: dict | None = None):
        super().__init__(init_cfg)
        if embed_dims % num_heads:
            raise ValueError(f'embed_dims={embed_dims} must be a multiple of num_heads={num_heads}')
        self.num_heads = num_heads
        self.scale = qk_scale or (embed_dims // num_heads) ** -.5
        self.window_size = window_size
        self.qkv = nn.Linear(embed_dims, embed_dims * 3, bias=qkv_bias)
        self.attn_drop = nn.Dropout(attn_drop_rate)
        self.proj = nn.Linear(embed_dims, embed_dims)
        self.proj_drop = nn.Dropout(proj_drop_rate)

    def forward(self, x: torch.Tensor, hw_shape: tuple[int, int]) -> torch.Tensor:
        """Tokens (B, H W, C) of a map (H, W) -> the same shape."""
        window = self.window_size
        padded = pad_to_windows(x.unflatten(1, tuple(hw_shape)), window)
        batch, height, width = padded.shape[:3]
        windows = partition(padded, window).unflatten(0, (batch, height // window, width // window))
        query, key, value = self.qkv(windows).flatten(0, 2).flatten(1, 2).chunk(3, dim=-1)  # (B windows) N C
        dropout = self.attn_drop.p if self.training else 0.
        out = multi_head(query, key, value, self.num_heads, self._mask(padded, hw_shape), dropout, self.scale)
        out = unpartition(out.unflatten(1, (window, window)), height, width)
        out = out[:, :hw_shape[0], :hw_shape[1]].flatten(1, 2)  # B H W C -> B (H W) C
        return self.proj_drop(self.proj(out))

    def _mask(self, padded: torch.Tensor, hw_shape: tuple[int, int]) -> torch.Tensor | None:
        """Tell which tokens see each other, (B windows, 1, N, N); None where all do."""
        batch, height, width = padded.shape[:3]
        if same_size((height, width), hw_shape):
            return None
        outside_y, outside_x = (torch.arange(size, device=padded.device) >= inside
                                for size, inside in zip((height, width), hw_shape))
        mask = within_region(outside_y[:, None] | outside_x, self.window_size)
        return mask[:, None].repeat(batch, 1, 1, 1)


class _EncoderLayer(BaseModule):
    """Attention and a feed-forward layer, each after a norm and beside a shortcut that a sample may take alone."""

    def __init__(self, attn: nn.Module, embed_dims: int, feedforward_channels: int, drop_rate: float,
                 drop_path_rate: float, num_fcs: int, act_cfg: dict, norm_cfg: dict, init_cfg: dict | None):
        super().__init__(init_cfg)
        self.norm1 = build_norm_layer(norm_cfg, embed_dims)[1]
        self.attn = attn
        self.norm2 = build_norm_layer(norm_cfg, embed_dims)[1]
        self.ffn = FFN(embed_dims, feedforward_channels, num_fcs, act_cfg, drop_rate, add_identity=False)
        path = drop_path(drop_path_rate)
        self.drop_path = MODELS.build(path) if path else nn.Identity()

    def _attend(self, x: torch.Tensor, hw_shape: tuple[int, int]) -> torch.Tensor:
        return self.attn(x, hw_shape)

    def forward(self, x: torch.Tensor, hw_shape: tuple[int, int]) -> torch.Tensor:
        """Tokens (B, H W, C) of a map (H, W) -> the same shape."""
        x = x + self.drop_path(self._attend(self.norm1(x), hw_shape))
        return x + self.drop_path(self.ffn(self.norm2(x)))


class GSAEncoderLayer(_EncoderLayer):
    """A layer with :class:`GlobalSubsampledAttention`.

    Args:
        feedforward_channels: channels inside the feed-forward layer, of `num_fcs` linear maps.
        drop_rate, attn_drop_rate: dropout of outputs and of attention weights.
        drop_path_rate: probability that a sample takes the shortcut alone.
    """

    def __init__(self, embed_dims: int, num_heads: int, feedforward_channels: int, drop_rate: float = 0.,
                 attn_drop_rate: float = 0., drop_path_rate: float = 0., num_fcs: int = 2, qkv_bias: bool = True,
                 act_cfg: dict = _GELU, norm_cfg: dict = _LN, sr_ratio: float = 1., init_cfg: dict | None = None):
        attn = GlobalSubsampledAttention(embed_dims, num_heads, attn_drop_rate, drop_rate, qkv_bias=qkv_bias,
                                         norm_cfg=norm_cfg, sr_ratio=sr_ratio)
        super().__init__(attn, embed_dims, feedforward_channels, drop_rate, drop_path_rate, num_fcs, act_cfg,
                         norm_cfg, init_cfg)

    def _attend(self, x: torch.Tensor, hw_shape: tuple[int, int]) -> torch.Tensor:
        return self.attn(x, hw_shape, identity=0.)


class LSAEncoderLayer(_EncoderLayer):
    """A layer with :class:`LocallyGroupedSelfAttention`; the other arguments as in :class:`GSAEncoderLayer`."""

    def __init__(self, embed_dims: int, num_heads: int, feedforward_channels: int, drop_rate: float = 0.,
                 attn_drop_rate: float = 0., drop_path_rate: float = 0., num_fcs: int = 2, qkv_bias: bool = True,
                 qk_scale: float | None = None, act_cfg: dict = _GELU, norm_cfg: dict = _LN, window_size: int = 1,
                 init_cfg: dict | None = None):
        attn = LocallyGroupedSelfAttention(embed_dims, num_heads, qkv_bias, qk_scale, attn_drop_rate, drop_rate,
                                           window_size)
        super().__init__(attn, embed_dims, feedforward_channels, drop_rate, drop_path_rate, num_fcs, act_cfg,
                         norm_cfg, init_cfg)


class ConditionalPositionEncoding(BaseModule):
    """A depthwise 3x3 convolution, which tells the tokens their position by zero padding.

    Args:
        stride: of the convolution; at 1 its output is added to the input.
    """

    def __init__(self, in_channels: int, embed_dims: int = 768, stride: int = 1, init_cfg: dict | None = None):
        super().__init__(init_cfg)
        self.proj = nn.Conv2d(in_channels, embed_dims, 3, stride=stride, padding=1, groups=embed_dims)
        self.stride = stride

    def forward(self, x: torch.Tensor, hw_shape: tuple[int, int]) -> torch.Tensor:
        """Tokens (B, H W, in_channels) of a map (H, W) -> tokens (B, h w, embed_dims)."""
        feature = nlc_to_nchw(x, hw_shape)
        encoded = self.proj(feature)
        return nchw_to_nlc(encoded + feature if self.stride == 1 else encoded)


def _check_stages(depths: Sequence[int], **per_stage: Sequence[int]) -> None:
    for name, values in per_stage.items():
        if len(values) < len(depths):
            raise ValueError(f'{name} needs a number for each of {len(depths)} stages, whose depths are '
                             f'{list(depths)}: found {list(values)}')


@MODELS.register_module()
class PCPVT(TransformerBackbone):
    """Pyramid Vision Transformer with conditional position encoding; returns the features of `out_indices`.

    Args:
        in_channels: of the image.
        embed_dims, patch_sizes, strides, num_heads, mlp_ratios, depths: of each stage.
        out_indices: stages whose output is returned.
        qkv_bias: whether queries, keys and values have a bias.
        drop_rate, attn_drop_rate: dropout of outputs and of attention weights.
        drop_path_rate: of the last layer; the first one has 0.
        sr_ratios: by which each stage's keys and values are fewer, along a side.
        norm_after_stage: normalise the output of each stage.
        pretrained: address of weights, short for `init_cfg=dict(type='Pretrained', checkpoint=...)`.

    Attributes:
        out_channels, out_strides: of each returned feature.
    """

    def __init__(self, in_channels: int = 3, embed_dims: Sequence[int] = (64, 128, 256, 512),
                 patch_sizes: Sequence[int] = (4, 2, 2, 2), strides: Sequence[int] = (4, 2, 2, 2),
                 num_heads: Sequence[int] = (1, 2, 4, 8), mlp_ratios: Sequence[int] = (4, 4, 4, 4),
                 out_indices: Sequence[int] = (0, 1, 2, 3), qkv_bias: bool = False, drop_rate: float = 0.,
                 attn_drop_rate: float = 0., drop_path_rate: float = 0., norm_cfg: dict = _LN,
                 depths: Sequence[int] = (3, 4, 6, 3), sr_ratios: Sequence[int] = (8, 4, 2, 1),
                 norm_after_stage: bool = False, pretrained: str | None = None,
                 init_cfg: dict | list | None = None):
        super().__init__(choose_init_cfg(pretrained, init_cfg))
        _check_stages(depths, embed_dims=embed_dims, patch_sizes=patch_sizes, strides=strides, num_heads=num_heads,
                      mlp_ratios=mlp_ratios, sr_ratios=sr_ratios)
        self.depths = depths
        self.out_indices = tuple(i for i in out_indices if i < len(depths))
        self.norm_after_stage = norm_after_stage

        rates = iter(drop_path_rates(drop_path_rate, sum(depths)))
        self.patch_embeds, self.position_encodings, self.layers = ModuleList(), ModuleList(), ModuleList()
        self.position_encoding_drops = ModuleList(nn.Dropout(drop_rate) for _ in depths)
        for stage, (depth, width) in enumerate(zip(depths, embed_dims)):
            self.patch_embeds.append(PatchEmbed(embed_dims[stage - 1] if stage else in_channels, width,
                                                kernel_size=patch_sizes[stage], stride=strides[stage],
                                                norm_cfg=norm_cfg))
            self.position_encodings.append(ConditionalPositionEncoding(width, width))
            shared = dict(embed_dims=width, num_heads=num_heads[stage], drop_rate=drop_rate, norm_cfg=norm_cfg,
                          feedforward_channels=mlp_ratios[stage] * width, attn_drop_rate=attn_drop_rate,
                          qkv_bias=qkv_bias)
            self.layers.append(ModuleList(
                self._make_layer(stage, i, sr_ratios[stage], dict(shared, drop_path_rate=next(rates)))
                for i in range(depth)))
        if norm_after_stage:
            self.norm_list = ModuleList(build_norm_layer(norm_cfg, width)[1] for _, width in zip(depths, embed_dims))
        stage_strides = list(accumulate(strides, mul))
        self.out_channels = tuple(embed_dims[i] for i in self.out_indices)
        self.out_strides = tuple(stage_strides[i] for i in self.out_indices)

    def _make_layer(self, stage: int, index: int, sr_ratio: int, options: dict) -> BaseModule:
        """Build layer `index` of a stage."""
        return GSAEncoderLayer(sr_ratio=sr_ratio, **options)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(B, in_channels, H, W) -> a feature (B, C, H / stride, W / stride) of each stage in `out_indices`."""
        features = []
        for stage, (embed, drop, encode, layers) in enumerate(zip(
                self.patch_embeds, self.position_encoding_drops, self.position_encodings, self.layers)):
            x, hw_shape = embed(x)
            x = drop(x)
            for i, layer in enumerate(layers):
                x = layer(x, hw_shape)
                x = encode(x, hw_shape) if i == 0 else x
            if self.norm_after_stage:
                x = self.norm_list[stage](x)
            x = nlc_to_nchw(x, hw_shape).contiguous()
            if stage in self.out_indices:
                features.append(x)
        return tuple(features)


@MODELS.register_module()
class SVT(PCPVT):
    """Spatially separable attention: layers within windows and layers over the whole map take turns.

    Args:
        windiow_sizes: sides of each stage's windows (the name is that of published configs).
    """

    def __init__(self, in_channels: int = 3, embed_dims: Sequence[int] = (64, 128, 256),
                 patch_sizes: Sequence[int] = (4, 2, 2, 2), strides: Sequence[int] = (4, 2, 2, 2),
                 num_heads: Sequence[int] = (1, 2, 4), mlp_ratios: Sequence[int] = (4, 4, 4),
                 out_indices: Sequence[int] = (0, 1, 2, 3), qkv_bias: bool = False, drop_rate: float = 0.,
                 attn_drop_rate: float = 0., drop_path_rate: float = 0.2, norm_cfg: dict = _LN,
                 depths: Sequence[int] = (4, 4, 4), sr_ratios: Sequence[int] = (4, 2, 1),
                 windiow_sizes: Sequence[int] = (7, 7, 7), norm_after_stage: bool = True,
                 pretrained: str | None = None, init_cfg: dict | list | None = None):
        _check_stages(depths, windiow_sizes=windiow_sizes)
        self.windiow_sizes = windiow_sizes  # before the layers, which need them
        super().__init__(in_channels, embed_dims, patch_sizes, strides, num_heads, mlp_ratios, out_indices, qkv_bias,
                         drop_rate, attn_drop_rate, drop_path_rate, norm_cfg, depths, sr_ratios, norm_after_stage,
                         pretrained, init_cfg)

    def _make_layer(self, stage: int, index: int, sr_ratio: int, options: dict) -> BaseModule:
        if index % 2:
            return super()._make_layer(stage, index, sr_ratio, options)
        return LSAEncoderLayer(window_size=self.windiow_sizes[stage], **options)
