"""Swin Transformer, https://arxiv.org/abs/2103.14030."""
from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from operator import mul

import torch
from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule, ModuleList
from mmengine.utils import to_2tuple
from torch import nn

from mmseg.models.utils import nlc_to_nchw
from mmseg.models.utils.attention import FFN, drop_path_rates, init_transformer, multi_head
from mmseg.models.utils.backbone_options import FreezableBackbone, checkpointed, choose_init_cfg, freeze
from mmseg.models.utils.embed import PatchEmbed, PatchMerging
from mmseg.models.utils.position_embedding import (
    fit_position_embedding,
    fit_position_table,
    resize_position_embedding,
)
from mmseg.models.utils.window_attention import (
    pad_to_windows,
    partition,
    position_bias,
    relative_positions,
    unpartition,
    within_region,
)
from mmseg.registry import MODELS

_GELU = dict(type='GELU')
_LN = dict(type='LN')
_NO_DROP_PATH = dict(type='DropPath', drop_prob=0.)


class WindowMSA(BaseModule):
    """Attention within windows, with a learned bias for each relative position.

    Args:
        embed_dims: channels of the tokens.
        window_size: height and width of a window.
        qkv_bias: whether queries, keys and values have a bias.
        qk_scale: factor of the products; one over the square root of a head's channels where None.
        attn_drop_rate, proj_drop_rate: dropout of the attention weights and of the output.
    """

    def __init__(self, embed_dims: int, num_heads: int, window_size: tuple[int, int], qkv_bias: bool = True,
                 qk_scale: float | None = None, attn_drop_rate: float = 0., proj_drop_rate: float = 0.,
                 init_cfg: dict | None = None):
        super().__init__(init_cfg)
        if embed_dims % num_heads:
            raise ValueError(f'embed_dims={embed_dims} must be a multiple of num_heads={num_heads}')
        self.embed_dims = embed_dims
        self.num_heads = num_heads
        self.window_size = height, width = window_size
        self.scale = qk_scale or (embed_dims // num_heads) ** -.5
        self.relative_position_bias_table = nn.Parameter(
            torch.zeros((2 * height - 1) * (2 * width - 1), num_heads))
        self.register_buffer('relative_position_index', relative_positions(height, width))
        self.qkv = nn.Linear(embed_dims, embed_dims * 3, bias=qkv_bias)
        self.attn_drop = nn.Dropout(attn_drop_rate)
        self.proj = nn.Linear(embed_dims, embed_dims)
        self.proj_drop = nn.Dropout(proj_drop_rate)
        self.register_load_state_dict_pre_hook(_fit_loaded_table)

    def init_weights(self) -> None:
        """Draw the biases from a truncated normal."""
        super().init_weights()
        nn.init.trunc_normal_(self.relative_position_bias_table, std=.02)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Tokens of windows (B windows, N, C) -> the same shape.

        Args:
            mask: (windows, N, N), added to the products, or booleans that tell which tokens see each other.
        """
        bias = position_bias(self.relative_position_bias_table, self.relative_position_index)[None]
        if mask is not None:
            mask = mask[:, None]  # windows 1 N N
            bias = bias.masked_fill(~mask, float('-inf')) if mask.dtype == torch.bool else bias + mask
            bias = bias.repeat(len(x) // len(mask), 1, 1, 1)  # (B windows) heads N N
        query, key, value = self.qkv(x).chunk(3, dim=-1)
        dropout = self.attn_drop.p if self.training else 0.
        x = multi_head(query, key, value, self.num_heads, bias, dropout, self.scale)
        return self.proj_drop(self.proj(x))

    @staticmethod
    def double_step_seq(step1: int, len1: int, step2: int, len2: int) -> torch.Tensor:
        """All sums of a multiple of `step1` below `len1` and a multiple of `step2` below `len2`: (1, len1 * len2)."""
        return (torch.arange(len1)[:, None] * step1 + torch.arange(len2) * step2).reshape(1, -1)


def _fit_loaded_table(module: WindowMSA, state_dict: dict, prefix: str, *_) -> None:
    table, index = f'{prefix}relative_position_bias_table', f'{prefix}relative_position_index'
    if table in state_dict:
        state_dict[table] = fit_position_table(state_dict[table], module.relative_position_bias_table,
                                               module.window_size)
    if index in state_dict:
        state_dict[index] = module.relative_position_index  # it follows from the size of the window


class ShiftWindowMSA(BaseModule):
    """Attention within the windows of a map, which may be cut after a cyclic shift by `shift_size` tokens.

    Args:
        window_size: side of a window; maps are padded with zeros to whole windows.
        shift_size: below `window_size`; 0 does not shift.
        dropout_layer: config of what the output goes through, for its shortcut.
    """

    def __init__(self, embed_dims: int, num_heads: int, window_size: int, shift_size: int = 0, qkv_bias: bool = True,
                 qk_scale: float | None = None, attn_drop_rate: float = 0, proj_drop_rate: float = 0,
                 dropout_layer: dict | None = _NO_DROP_PATH, init_cfg: dict | None = None):
        super().__init__(init_cfg)
        if not 0 <= shift_size < window_size:
            raise ValueError(f'shift_size must be 0 to {window_size - 1} for window_size={window_size}, found '
                             f'{shift_size}')
        self.window_size = window_size
        self.shift_size = shift_size
        self.w_msa = WindowMSA(embed_dims, num_heads, to_2tuple(window_size), qkv_bias, qk_scale, attn_drop_rate,
                               proj_drop_rate)
        self.drop = MODELS.build(dropout_layer) if dropout_layer else nn.Identity()

    def forward(self, query: torch.Tensor, hw_shape: tuple[int, int]) -> torch.Tensor:
        """Tokens (B, H W, C) of a map (H, W) -> the same shape."""
        shift = self.shift_size
        x = pad_to_windows(query.unflatten(1, tuple(hw_shape)), self.window_size)  # B (H W) C -> B H W C
        height, width = x.shape[1:3]
        if shift:
            x = x.roll((-shift, -shift), dims=(1, 2))
        x = self.w_msa(self.window_partition(x).flatten(1, 2), self._mask(height, width, x.device) if shift else None)
        x = self.window_reverse(x.unflatten(1, (self.window_size, self.window_size)), height, width)
        if shift:
            x = x.roll((shift, shift), dims=(1, 2))
        x = x[:, :hw_shape[0], :hw_shape[1]].flatten(1, 2)  # B H W C -> B (H W) C
        return self.drop(x)

    def _mask(self, height: int, width: int, device: torch.device) -> torch.Tensor:
        """Tell which tokens of a shifted window lay side by side before the shift: (windows, N, N)."""
        rows, columns = (self._region(torch.arange(size, device=device), size) for size in (height, width))
        return within_region(rows[:, None] * 3 + columns, self.window_size)

    def _region(self, place: torch.Tensor, size: int) -> torch.Tensor:
        """0 before the last window, 1 in it, 2 for what the shift has brought there from the other end."""
        return (place >= size - self.window_size).long() + (place >= size - self.shift_size).long()

    def window_reverse(self, windows: torch.Tensor, H: int, W: int) -> torch.Tensor:
        """(B windows, window_size, window_size, C) -> (B, H, W, C)."""
        return unpartition(windows, H, W)

    def window_partition(self, x: torch.Tensor) -> torch.Tensor:
        """(B, H, W, C) -> (B windows, window_size, window_size, C)."""
        return partition(x, self.window_size)


class SwinBlock(BaseModule):
    """Attention within windows and a feed-forward layer, each after a norm and beside a shortcut.

    Args:
        feedforward_channels: channels inside the feed-forward layer.
        shift: cut the windows after a shift by half of one.
        drop_rate, attn_drop_rate: dropout of outputs and of attention weights.
        drop_path_rate: probability that a sample takes the shortcut alone.
        with_cp: compute the activations again in the backward pass rather than keep them.
    """

    def __init__(self, embed_dims: int, num_heads: int, feedforward_channels: int, window_size: int = 7,
                 shift: bool = False, qkv_bias: bool = True, qk_scale: float | None = None, drop_rate: float = 0.,
                 attn_drop_rate: float = 0., drop_path_rate: float = 0., act_cfg: dict = _GELU,
                 norm_cfg: dict = _LN, with_cp: bool = False, init_cfg: dict | None = None):
        super().__init__(init_cfg)
        self.with_cp = with_cp
        dropout_layer = dict(type='DropPath', drop_prob=drop_path_rate)
        self.norm1 = build_norm_layer(norm_cfg, embed_dims)[1]
        self.attn = ShiftWindowMSA(embed_dims, num_heads, window_size, window_size // 2 if shift else 0, qkv_bias,
                                   qk_scale, attn_drop_rate, drop_rate, dropout_layer)
        self.norm2 = build_norm_layer(norm_cfg, embed_dims)[1]
        self.ffn = FFN(embed_dims, feedforward_channels, act_cfg=act_cfg, ffn_drop=drop_rate,
                       dropout_layer=dropout_layer)

    def _layers(self, x: torch.Tensor, hw_shape: tuple[int, int]) -> torch.Tensor:
        x = x + self.attn(self.norm1(x), hw_shape)
        return self.ffn(self.norm2(x), identity=x)

    def forward(self, x: torch.Tensor, hw_shape: tuple[int, int]) -> torch.Tensor:
        """Tokens (B, H W, C) of a map (H, W) -> the same shape."""
        if self.with_cp and x.requires_grad:
            return checkpointed(self, self._layers, x, hw_shape)
        return self._layers(x, hw_shape)


class SwinBlockSequence(BaseModule):
    """A stage: blocks of which every other one shifts, and what makes the next stage's tokens.

    Args:
        depth: number of blocks.
        drop_path_rate: of each block, or one for all.
        downsample: module `(tokens, (H, W)) -> (tokens, (h, w))` after the blocks.
    """

    def __init__(self, embed_dims: int, num_heads: int, feedforward_channels: int, depth: int, window_size: int = 7,
                 qkv_bias: bool = True, qk_scale: float | None = None, drop_rate: float = 0.,
                 attn_drop_rate: float = 0., drop_path_rate: float | Sequence[float] = 0.,
                 downsample: nn.Module | None = None, act_cfg: dict = _GELU, norm_cfg: dict = _LN,
                 with_cp: bool = False, init_cfg: dict | None = None):
        super().__init__(init_cfg)
        rates = [drop_path_rate] * depth if isinstance(drop_path_rate, int | float) else drop_path_rate
        if len(rates) != depth:
            raise ValueError(f'drop_path_rate needs a number for each of {depth} blocks, found {len(rates)}')
        self.blocks = ModuleList(
            SwinBlock(embed_dims, num_heads, feedforward_channels, window_size, i % 2 == 1, qkv_bias, qk_scale,
                      drop_rate, attn_drop_rate, rate, act_cfg, norm_cfg, with_cp) for i, rate in enumerate(rates))
        self.downsample = downsample

    def forward(self, x: torch.Tensor, hw_shape: tuple[int, int]
                ) -> tuple[torch.Tensor, tuple[int, int], torch.Tensor, tuple[int, int]]:
        """Tokens of a map (H, W) -> the next stage's tokens, their (h, w), this stage's output and (H, W)."""
        for block in self.blocks:
            x = block(x, hw_shape)
        following, size = (x, hw_shape) if self.downsample is None else self.downsample(x, hw_shape)
        return following, size, x, hw_shape


@MODELS.register_module()
class SwinTransformer(FreezableBackbone):
    """Four stages of attention within shifted windows; returns the features of the stages `out_indices`.

    Args:
        pretrain_img_size: of the images that an absolute position embedding is made for.
        in_channels: of the image.
        embed_dims: channels of the first stage; each stage doubles them.
        patch_size: side of a patch; equals the first stride.
        window_size: side of a window. Checkpoints of another one get their position biases interpolated.
        mlp_ratio: channels inside the feed-forward layers for each of the outer ones.
        depths, num_heads, strides: of each stage.
        out_indices: stages whose output is returned.
        qkv_bias, qk_scale: see :class:`WindowMSA`.
        patch_norm: normalise patches where they are made and merged.
        drop_rate, attn_drop_rate: dropout of outputs and of attention weights.
        drop_path_rate: of the last block; the first one has 0.
        use_abs_pos_embed: add a learned embedding of the position.
        with_cp: keep the blocks' inputs only and compute their activations again in the backward pass.
        pretrained: address of weights, short for `init_cfg=dict(type='Pretrained', checkpoint=...)`.
        frozen_stages: stages that do not learn, counted from the first; 0 is the patch embedding alone, -1 none.

    Attributes:
        out_channels, out_strides: of each returned feature.
    """

    def __init__(self, pretrain_img_size: int | Sequence[int] = 224, in_channels: int = 3, embed_dims: int = 96,
                 patch_size: int = 4, window_size: int = 7, mlp_ratio: int = 4, depths: Sequence[int] = (2, 2, 6, 2),
                 num_heads: Sequence[int] = (3, 6, 12, 24), strides: Sequence[int] = (4, 2, 2, 2),
                 out_indices: Sequence[int] = (0, 1, 2, 3), qkv_bias: bool = True, qk_scale: float | None = None,
                 patch_norm: bool = True, drop_rate: float = 0., attn_drop_rate: float = 0.,
                 drop_path_rate: float = 0.1, use_abs_pos_embed: bool = False, act_cfg: dict = _GELU,
                 norm_cfg: dict = _LN, with_cp: bool = False, pretrained: str | None = None,
                 frozen_stages: int = -1, init_cfg: dict | list | None = None):
        super().__init__(choose_init_cfg(pretrained, init_cfg))
        if not len(depths) == len(num_heads) == len(strides):
            raise ValueError('depths, num_heads and strides need a number for each stage: found '
                             f'{list(depths)}, {list(num_heads)} and {list(strides)}')
        if strides[0] != patch_size:
            raise ValueError(f'patches do not overlap: the first stride must be patch_size={patch_size}, found '
                             f'{strides[0]}')
        self.out_indices = tuple(out_indices)
        self.use_abs_pos_embed = use_abs_pos_embed
        self.frozen_stages = frozen_stages

        self.patch_embed = PatchEmbed(in_channels, embed_dims, kernel_size=patch_size, stride=strides[0],
                                      norm_cfg=norm_cfg if patch_norm else None)
        if use_abs_pos_embed:
            sides = pretrain_img_size if isinstance(pretrain_img_size, Sequence) else (pretrain_img_size,)
            self.grid = sides[0] // patch_size, sides[-1] // patch_size
            self.absolute_pos_embed = nn.Parameter(torch.zeros(1, self.grid[0] * self.grid[1], embed_dims))
        self.drop_after_pos = nn.Dropout(drop_rate)

        self.num_features = [embed_dims * 2**i for i in range(len(depths))]
        rates = iter(drop_path_rates(drop_path_rate, sum(depths)))
        self.stages = ModuleList()
        for i, (width, depth) in enumerate(zip(self.num_features, depths)):
            merge = PatchMerging(width, 2 * width, stride=strides[i + 1], norm_cfg=norm_cfg if patch_norm else None
                                 ) if i + 1 < len(depths) else None
            self.stages.append(SwinBlockSequence(
                width, num_heads[i], int(mlp_ratio * width), depth, window_size, qkv_bias, qk_scale, drop_rate,
                attn_drop_rate, [next(rates) for _ in range(depth)], merge, act_cfg, norm_cfg, with_cp))
        for i in self.out_indices:
            self.add_module(f'norm{i}', build_norm_layer(norm_cfg, self.num_features[i])[1])

        stage_strides = list(accumulate(strides, mul))
        self.out_channels = tuple(self.num_features[i] for i in self.out_indices)
        self.out_strides = tuple(stage_strides[i] for i in self.out_indices)
        self.register_load_state_dict_pre_hook(_fit_loaded_backbone)
        self._freeze_stages()

    def _freeze_stages(self) -> None:
        if self.frozen_stages < 0:
            return
        freeze(self.patch_embed, self.drop_after_pos)
        if self.use_abs_pos_embed:
            self.absolute_pos_embed.requires_grad = False
        for i in range(self.frozen_stages):
            freeze(self.stages[i], *([getattr(self, f'norm{i}')] if i in self.out_indices else []))

    def init_weights(self) -> None:
        """Load what `init_cfg` names, or start anew as the paper does."""
        if self.init_cfg is not None:
            super().init_weights()
            return
        init_transformer(self)
        if self.use_abs_pos_embed:
            nn.init.trunc_normal_(self.absolute_pos_embed, std=.02)
        for module in self.modules():
            if isinstance(module, WindowMSA):
                module.init_weights()

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(B, in_channels, H, W) -> a feature (B, C, H / stride, W / stride) of each stage in `out_indices`."""
        x, hw_shape = self.patch_embed(x)
        if self.use_abs_pos_embed:
            x = x + resize_position_embedding(self.absolute_pos_embed, self.grid, hw_shape)
        x = self.drop_after_pos(x)
        features = []
        for i, stage in enumerate(self.stages):
            x, hw_shape, out, out_shape = stage(x, hw_shape)
            if i in self.out_indices:
                out = getattr(self, f'norm{i}')(out)
                features.append(nlc_to_nchw(out, out_shape).contiguous())
        return tuple(features)


def _fit_loaded_backbone(module: SwinTransformer, state_dict: dict, prefix: str, *_) -> None:
    whole = f'{prefix}backbone.'  # of a checkpoint that holds more than the backbone
    for key in [key for key in state_dict if key.startswith(whole)]:
        state_dict[prefix + key.removeprefix(whole)] = state_dict.pop(key)
    key = f'{prefix}absolute_pos_embed'
    if key in state_dict and module.use_abs_pos_embed:
        state_dict[key] = fit_position_embedding(state_dict[key], module.absolute_pos_embed, module.grid)
