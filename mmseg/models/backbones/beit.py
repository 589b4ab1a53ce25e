"""BEiT: BERT Pre-Training of Image Transformers, https://arxiv.org/abs/2106.08254."""
from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from mmcv.cnn import build_norm_layer
from mmcv.cnn.bricks import DropPath
from mmengine.model import BaseModule, ModuleList
from scipy.interpolate import make_interp_spline
from torch import nn

from mmseg.models.utils import nlc_to_nchw
from mmseg.models.utils.attention import FFN, drop_path_rates, multi_head
from mmseg.models.utils.backbone_options import choose_init_cfg, hold_batch_norms
from mmseg.models.utils.embed import PatchEmbed
from mmseg.models.utils.window_attention import position_bias, relative_positions
from mmseg.registry import MODELS
from mmseg.utils.checkpoint import weights_of

_LN = dict(type='LN')
_GELU = dict(type='GELU')
_CLS_POSITIONS = 3  # from the class token, to it, and to itself


class BEiTAttention(BaseModule):
    """Attention of a class token and the tokens of a window, with a learned bias for each relative position.

    Args:
        embed_dims: channels of the tokens.
        window_size: (height, width) of the window, in tokens.
        bias: `'qv_bias'` gives queries and values a bias, True the keys too, False none.
        qk_scale: of the products; one over the square root of a head's channels where None.
        attn_drop_rate, proj_drop_rate: dropout of the attention weights and of the output.
    """

    def __init__(self, embed_dims: int, num_heads: int, window_size: Sequence[int], bias: bool | str = 'qv_bias',
                 qk_scale: float | None = None, attn_drop_rate: float = 0., proj_drop_rate: float = 0.,
                 init_cfg: dict | None = None, **kwargs):
        super().__init__(init_cfg)
        if embed_dims % num_heads:
            raise ValueError(f'embed_dims={embed_dims} cannot be shared by num_heads={num_heads}: choose a divisor')
        self.embed_dims = embed_dims
        self.num_heads = num_heads
        self.window_size = tuple(window_size)
        self.bias = bias
        self.scale = qk_scale or (embed_dims // num_heads)**-0.5
        self.attn_drop_rate = attn_drop_rate
        self.qkv = nn.Linear(embed_dims, 3 * embed_dims, bias=bias is True)
        if bias == 'qv_bias':
            self.q_bias = nn.Parameter(torch.zeros(embed_dims))
            self.v_bias = nn.Parameter(torch.zeros(embed_dims))
        self.proj = nn.Linear(embed_dims, embed_dims)
        self.proj_drop = nn.Dropout(proj_drop_rate)
        self.attn_drop = nn.Dropout(attn_drop_rate)

        height, width = self.window_size
        self.num_relative_distance = (2 * height - 1) * (2 * width - 1) + _CLS_POSITIONS
        self.relative_position_bias_table = nn.Parameter(torch.zeros(self.num_relative_distance, num_heads))
        self.register_buffer('relative_position_index', relative_positions(height, width, with_cls_token=True))
        self.register_load_state_dict_pre_hook(_fit_loaded_table)

    def init_weights(self) -> None:
        """Start the position biases from a truncated normal."""
        nn.init.trunc_normal_(self.relative_position_bias_table, std=.02)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 1 + h w, embed_dims) -> the same shape."""
        query, key, value = self._project(x).chunk(3, dim=-1)
        mask = position_bias(self.relative_position_bias_table, self.relative_position_index)
        dropout = self.attn_drop.p if self.training else 0.
        return self.proj_drop(self.proj(multi_head(query, key, value, self.num_heads, mask, dropout, self.scale)))

    def _project(self, x: torch.Tensor) -> torch.Tensor:
        if self.bias != 'qv_bias':
            return self.qkv(x)
        bias = torch.cat([self.q_bias, torch.zeros_like(self.v_bias), self.v_bias])
        return F.linear(x, self.qkv.weight, bias)


def _fit_loaded_table(module: BEiTAttention, state_dict: dict, prefix: str, *args) -> None:
    """Let a checkpoint for another size of image fit: resize its position biases and leave its indices."""
    table, index = f'{prefix}relative_position_bias_table', f'{prefix}relative_position_index'
    if table in state_dict:
        state_dict[table] = fit_table_with_cls(state_dict[table], module.relative_position_bias_table,
                                               module.window_size)
        state_dict[index] = module.relative_position_index  # it follows from the size of the window


def fit_table_with_cls(table: torch.Tensor, wanted: torch.Tensor, window: Sequence[int]) -> torch.Tensor:
    """Resize the relative position biases of a checkpoint, of a square window and a class token, to those of a model.

    Neighbouring positions stay neighbours and far ones spread: the source is laid out at distances that grow in
    geometric progression until they span the target, with cubic splines between them.

    Args:
        table: ((2 side - 1)**2 + 3, heads).
        wanted: the model's, ((2 H - 1) (2 W - 1) + 3, heads).
        window: the model's, (H, W).
    """
    if table.shape == wanted.shape:
        return table
    side = math.isqrt(max(0, table.shape[0] - _CLS_POSITIONS))
    if side * side + _CLS_POSITIONS != table.shape[0] or side < 3 or table.shape[1:] != wanted.shape[1:]:
        raise ValueError(f'the relative position biases {tuple(table.shape)} of the checkpoint cannot be resized to '
                         f'{tuple(wanted.shape)}: they need {wanted.shape[1]} heads, and positions of a square window '
                         f'and {_CLS_POSITIONS} of the class token')
    grid = table[:-_CLS_POSITIONS].reshape(side, side, -1).double().cpu().numpy()
    for axis, length in enumerate(window):
        half = length - 1
        spline = make_interp_spline(_growing_distances(side // 2, half), grid, k=min(3, side - 1), axis=axis)
        grid = spline(np.arange(-half, half + 1))
    resized = torch.as_tensor(grid, dtype=table.dtype, device=table.device).flatten(0, 1)
    return torch.cat([resized, table[-_CLS_POSITIONS:]])


def _growing_distances(count: int, reach: int) -> np.ndarray:
    """`2 * count + 1` places around 0 whose distances grow by one factor, of 1.01 to 1.5, so that they span `reach`."""
    low, high = 1.01, 1.5
    while high - low > 1e-6:
        factor = (low + high) / 2
        low, high = (low, factor) if (1 - factor**count) / (1 - factor) > reach else (factor, high)
    far = np.cumsum(high**np.arange(count))
    return np.concatenate([-far[::-1], [0.], far])


class BEiTTransformerEncoderLayer(BaseModule):
    """Attention and a feed-forward layer, each after a norm and beside a shortcut, with a learned scale of channels.

    Args:
        feedforward_channels: channels inside the feed-forward layer.
        drop_path_rate: probability that a sample takes the shortcut alone.
        num_fcs: linear maps of the feed-forward layer.
        bias, window_size: see :class:`BEiTAttention`.
        attn_cfg, ffn_cfg: more arguments of the attention and of mmcv's `FFN`.
        init_values: where the scales start; None or 0 for none.
    """

    def __init__(self, embed_dims: int, num_heads: int, feedforward_channels: int, attn_drop_rate: float = 0.,
                 drop_path_rate: float = 0., num_fcs: int = 2, bias: bool | str = 'qv_bias', act_cfg: dict = _GELU,
                 norm_cfg: dict = _LN, window_size: Sequence[int] | None = None, attn_cfg: dict | None = None,
                 ffn_cfg: dict | None = None, init_values: float | None = None):
        super().__init__()
        self.ln1 = build_norm_layer(norm_cfg, embed_dims)[1]
        self.attn = self.build_attn(dict(
            embed_dims=embed_dims, num_heads=num_heads, window_size=window_size, bias=bias,
            attn_drop_rate=attn_drop_rate, **(attn_cfg or {})))
        self.ln2 = build_norm_layer(norm_cfg, embed_dims)[1]
        self.ffn = FFN(embed_dims, feedforward_channels, num_fcs, act_cfg, **{'add_identity': False, **(ffn_cfg or {})})
        self.drop_path = DropPath(drop_path_rate)
        scaled = bool(init_values)
        self.gamma_1 = nn.Parameter(torch.full((embed_dims,), float(init_values))) if scaled else None
        self.gamma_2 = nn.Parameter(torch.full((embed_dims,), float(init_values))) if scaled else None

    def build_attn(self, attn_cfg: dict) -> BEiTAttention:
        """Return the attention; a subclass makes its own."""
        return BEiTAttention(**attn_cfg)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 1 + h w, embed_dims) -> the same shape."""
        x = x + self.drop_path(self._scale(self.attn(self.ln1(x)), self.gamma_1))
        return x + self.drop_path(self._scale(self.ffn(self.ln2(x)), self.gamma_2))

    @staticmethod
    def _scale(x: torch.Tensor, gamma: torch.Tensor | None) -> torch.Tensor:
        return x if gamma is None else gamma * x


@MODELS.register_module()
class BEiT(BaseModule):
    """A vision transformer whose attention knows relative positions; returns features of one stride.

    Its position biases are made for one size of image. Those of a checkpoint for another size are resized on loading.

    Args:
        img_size: height and width of the images, or the side of a square.
        patch_size: side of a patch, the stride of the features.
        embed_dims: channels of the tokens.
        mlp_ratio: channels inside the feed-forward layers for each of `embed_dims`.
        out_indices: layers whose output is returned, or one of them; -1 is the last.
        qv_bias: whether queries and values have a bias.
        attn_drop_rate: dropout of the attention weights.
        drop_path_rate: of the last layer; the first one has 0.
        patch_norm: normalise the patches before the first layer.
        final_norm: normalise the output of the last layer.
        num_fcs: linear maps of a feed-forward layer.
        norm_eval: keep the running statistics of every batch normalisation.
        pretrained: address of weights, short for `init_cfg=dict(type='Pretrained', checkpoint=...)`.
        init_values: where the learned scales of the channels start; 0 for none.

    Attributes:
        out_channels, out_strides: of each returned feature.
    """

    layer_class = BEiTTransformerEncoderLayer
    bias_otherwise = False  # of queries, keys and values without `qv_bias`

    def __init__(self, img_size: int | Sequence[int] = 224, patch_size: int = 16, in_channels: int = 3,
                 embed_dims: int = 768, num_layers: int = 12, num_heads: int = 12, mlp_ratio: float = 4,
                 out_indices: int | Sequence[int] = -1, qv_bias: bool = True, attn_drop_rate: float = 0.,
                 drop_path_rate: float = 0., norm_cfg: dict = _LN, act_cfg: dict = _GELU, patch_norm: bool = False,
                 final_norm: bool = False, num_fcs: int = 2, norm_eval: bool = False, pretrained: str | None = None,
                 init_values: float = 0.1, init_cfg: dict | list | None = None):
        super().__init__(choose_init_cfg(pretrained, init_cfg))
        self.img_size = (img_size, img_size) if isinstance(img_size, int) else tuple(img_size)
        if len(self.img_size) != 2 or any(side % patch_size for side in self.img_size):
            raise ValueError(f'img_size must be a height and a width, multiples of patch_size={patch_size}, found '
                             f'{img_size}')
        self.patch_size = patch_size
        self.patch_shape = self.window_size = tuple(side // patch_size for side in self.img_size)
        self.embed_dims = embed_dims
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.norm_eval = norm_eval
        self.final_norm = final_norm
        self.out_indices = self._indices(out_indices, num_layers)

        self.patch_embed = PatchEmbed(in_channels, embed_dims, kernel_size=patch_size, stride=patch_size, padding=0,
                                      norm_cfg=norm_cfg if patch_norm else None)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dims))
        self.layers = ModuleList(
            self.layer_class(embed_dims, num_heads, int(mlp_ratio * embed_dims), attn_drop_rate, rate, num_fcs,
                             'qv_bias' if qv_bias else self.bias_otherwise, act_cfg, norm_cfg, self.window_size,
                             init_values=init_values)
            for rate in drop_path_rates(drop_path_rate, num_layers))
        if final_norm:
            self.norm1_name, norm = build_norm_layer(norm_cfg, embed_dims, postfix=1)
            self.add_module(self.norm1_name, norm)
        self.out_channels = (embed_dims,) * len(self.out_indices)
        self.out_strides = (patch_size,) * len(self.out_indices)

    @staticmethod
    def _indices(out_indices: int | Sequence[int], num_layers: int) -> tuple[int, ...]:
        indices = [out_indices] if isinstance(out_indices, int) else list(out_indices)
        if not all(-num_layers <= index < num_layers for index in indices):
            raise ValueError(f'out_indices {indices} must lie in 0 to {num_layers - 1}, the layers there are')
        return tuple(index % num_layers for index in indices)

    @property
    def norm1(self) -> nn.Module:
        return getattr(self, self.norm1_name)

    def resize_rel_pos_embed(self, checkpoint: dict) -> dict:
        """Return the weights of a checkpoint with position biases of this model's size, and without their indices."""
        state = {key: value for key, value in weights_of(checkpoint).items()
                 if not key.endswith('relative_position_index')}
        own = dict(self.named_parameters())
        for key in state:
            if key.endswith('relative_position_bias_table') and key in own:
                state[key] = fit_table_with_cls(state[key], own[key], self.window_size)
        return state

    def init_weights(self) -> None:
        """Load what `init_cfg` names, or start anew as the paper does."""
        if self.init_cfg is None:
            self._start_anew()
        else:
            super().init_weights()

    def _start_anew(self) -> None:
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=.02)
                if module.bias is not None:
                    nn.init.normal_(module.bias, std=1e-6) if 'ffn' in name else nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode='fan_in')
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.LayerNorm | nn.GroupNorm | nn.modules.batchnorm._BatchNorm):
                nn.init.ones_(module.weight)
                nn.init.zeros_(module.bias)
            elif isinstance(module, BEiTAttention):
                module.init_weights()
        nn.init.trunc_normal_(self.cls_token, std=.02)

    def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(B, in_channels, *img_size) -> a feature (B, embed_dims, h, w) of each layer in `out_indices`.

        Raises:
            ValueError: the image has another number of patches than `img_size`.
        """
        x, hw_shape = self.patch_embed(inputs)
        if tuple(hw_shape) != self.window_size:
            raise ValueError(self._other_size(inputs))
        x = self._first_tokens(x)
        features = []
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if i == self.num_layers - 1 and self.final_norm:
                x = self.norm1(x)
            if i in self.out_indices:
                features.append(nlc_to_nchw(x[:, 1:], hw_shape))  # without the class token
        return tuple(features)

    def _first_tokens(self, x: torch.Tensor) -> torch.Tensor:
        """Put the class token before the patches: (B, h w, C) -> (B, 1 + h w, C)."""
        return torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1)

    def _other_size(self, inputs: torch.Tensor) -> str:
        height, width = self.img_size
        return (f'{type(self).__name__} has positions for images of {height} x {width} pixels, found '
                f"{inputs.shape[2]} x {inputs.shape[3]}: set test_cfg=dict(mode='slide', crop_size=({height}, {width}),"
                f' ...) and pad smaller images to it, or set img_size to the size of your images')

    def train(self, mode: bool = True) -> BEiT:
        """Change the mode, but with `norm_eval` for batch normalisations."""
        super().train(mode)
        if mode and self.norm_eval:
            hold_batch_norms(self)
        return self
