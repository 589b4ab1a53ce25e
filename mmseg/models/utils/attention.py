"""Multi-head attention and feed-forward layers of transformers.

They keep the parameters of mmcv's, which published weights name, and compute by
:func:`torch.nn.functional.scaled_dot_product_attention`, which never stores the attention matrix where a fused kernel
exists.
"""
from __future__ import annotations

import math
import warnings

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import nn

from mmseg.registry import MODELS

with warnings.catch_warnings():
    warnings.simplefilter('ignore')  # mmcv-lite warns that it lacks compiled operators, which nothing here uses
    from mmcv.cnn.bricks.transformer import FFN as _FFN
    from mmcv.cnn.bricks.transformer import MultiheadAttention as _MultiheadAttention

__all__ = ['FFN', 'MultiheadAttention', 'TransformerBackbone', 'drop_path', 'drop_path_rates', 'init_transformer',
           'multi_head', 'project_and_attend']

_RELU = dict(type='ReLU', inplace=True)


def multi_head(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, num_heads: int,
               mask: torch.Tensor | None = None, dropout: float = 0., scale: float | None = None) -> torch.Tensor:
    """Attend with heads that share the channels: (B, N, C), (B, M, C) and (B, M, C) -> (B, N, C).

    Args:
        mask: added to the products, or booleans that tell what takes part; broadcast to (B, num_heads, N, M).
        dropout: probability that an attention weight is dropped; give 0 in evaluation.
        scale: of the products; one over the square root of a head's channels where None.
    """
    query, key, value = (x.unflatten(-1, (num_heads, -1)).transpose(1, 2) for x in (query, key, value))  # B heads N c
    if mask is not None and mask.is_floating_point():
        mask = mask.to(query.dtype)  # under autocast the products are halves and a learned bias is not
    out = F.scaled_dot_product_attention(query, key, value, mask, dropout, scale=scale)
    return out.transpose(1, 2).flatten(2)  # B heads N c -> B N (heads c)


def project_and_attend(attn: nn.MultiheadAttention, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor,
                       mask: torch.Tensor | None = None) -> torch.Tensor:
    """Apply the projections of PyTorch's module to sequences (B, N, C), whatever its `batch_first`.

    Projections of one tensor are one matrix product.
    """
    weight, bias, width = attn.in_proj_weight, attn.in_proj_bias, attn.embed_dim
    if query is key is value:
        query, key, value = F.linear(query, weight, bias).chunk(3, dim=-1)
    elif key is value:
        query = F.linear(query, weight[:width], None if bias is None else bias[:width])
        key, value = F.linear(key, weight[width:], None if bias is None else bias[width:]).chunk(2, dim=-1)
    elif query is key:  # a position is added to both
        query, key = F.linear(query, weight[:2 * width], None if bias is None else bias[:2 * width]).chunk(2, dim=-1)
        value = F.linear(value, weight[2 * width:], None if bias is None else bias[2 * width:])
    else:
        biases = (None,) * 3 if bias is None else bias.chunk(3)
        query, key, value = (F.linear(x, w, b) for x, w, b in zip((query, key, value), weight.chunk(3), biases))
    dropout = attn.dropout if attn.training else 0.
    return attn.out_proj(multi_head(query, key, value, attn.num_heads, mask, dropout))


class FFN(_FFN):
    """mmcv's linear maps with an activation between them, beside a shortcut: (B, N, C) -> the same shape.

    Args:
        embed_dims: channels of the tokens.
        feedforward_channels: channels between the maps.
        num_fcs: number of the maps.
        act_cfg: config of the activation, which may be one of this library's in any scope.
        ffn_drop: dropout after each map.
    """

    def __init__(self, embed_dims: int = 256, feedforward_channels: int = 1024, num_fcs: int = 2,
                 act_cfg: dict = _RELU, ffn_drop: float = 0., **kwargs):
        kind = act_cfg['type']
        act_cfg = dict(act_cfg, type=MODELS.get(kind) if isinstance(kind, str) else kind)
        super().__init__(embed_dims, feedforward_channels, num_fcs, act_cfg, ffn_drop, **kwargs)


class MultiheadAttention(_MultiheadAttention):
    """mmcv's attention with a shortcut, of sequences (B, N, C) or, without `batch_first`, (N, B, C).

    Args:
        embed_dims: channels of the tokens; must be a multiple of `num_heads`.
        attn_drop: dropout of the attention weights.
        proj_drop: dropout of the output.
        dropout_layer: config of what comes before the shortcut, such as `dict(type='DropPath', drop_prob=0.1)`.
        bias: whether the projections of queries, keys and values have one.
    """

    def __init__(self, embed_dims: int, num_heads: int, attn_drop: float = 0., proj_drop: float = 0.,
                 dropout_layer: dict | None = None, init_cfg: dict | None = None, batch_first: bool = True,
                 bias: bool = True, **kwargs):
        if embed_dims % num_heads:
            fitting = [n for n in range(1, embed_dims + 1) if embed_dims % n == 0 and n <= 2 * num_heads]
            raise ValueError(f'embed_dims={embed_dims} cannot be shared by num_heads={num_heads}: it is a multiple of '
                             f'{", ".join(map(str, fitting))}')
        super().__init__(embed_dims, num_heads, attn_drop, proj_drop, dropout_layer, init_cfg, batch_first, bias=bias,
                         **kwargs)

    def forward(self, query: torch.Tensor, key: torch.Tensor | None = None, value: torch.Tensor | None = None,
                identity: torch.Tensor | float | None = None, attn_mask: torch.Tensor | None = None) -> torch.Tensor:
        """Return `identity + attention(query, key, value)`; what is None is taken from the argument before it."""
        key = query if key is None else key
        value = key if value is None else value
        if self.batch_first:
            out = project_and_attend(self.attn, query, key, value, attn_mask)
        else:
            # One transposed tensor for equal arguments, so that they are still seen to be equal.
            turned = {id(x): x.transpose(0, 1) for x in (query, key, value)}
            out = project_and_attend(self.attn, *(turned[id(x)] for x in (query, key, value)), attn_mask)
            out = out.transpose(0, 1)
        return (query if identity is None else identity) + self.dropout_layer(self.proj_drop(out))


def drop_path_rates(last: float, depth: int) -> list[float]:
    """Rates of stochastic depth for each block: from 0 in the first one evenly up to `last`."""
    return [last * i / max(1, depth - 1) for i in range(depth)]


def drop_path(rate: float) -> dict | None:
    """The config of stochastic depth, None where nothing is dropped."""
    return dict(type='DropPath', drop_prob=rate) if rate > 0 else None


def init_transformer(module: BaseModule) -> None:
    """Start as hierarchical transformers do: truncated normal of 0.02 for linear maps, normal after the fan-out for
    convolutions, norms as the identity."""
    for layer in module.modules():
        if isinstance(layer, nn.MultiheadAttention):
            nn.init.trunc_normal_(layer.in_proj_weight, std=.02)
        elif isinstance(layer, nn.Linear):
            nn.init.trunc_normal_(layer.weight, std=.02)
        elif isinstance(layer, nn.Conv2d):
            fan_out = math.prod(layer.kernel_size) * layer.out_channels // layer.groups
            nn.init.normal_(layer.weight, std=math.sqrt(2 / fan_out))
        elif isinstance(layer, nn.LayerNorm | nn.modules.batchnorm._BatchNorm):
            nn.init.ones_(layer.weight)
        else:
            continue
        bias = layer.in_proj_bias if isinstance(layer, nn.MultiheadAttention) else layer.bias
        if bias is not None:
            nn.init.zeros_(bias)


class TransformerBackbone(BaseModule):
    """A backbone that starts as :func:`init_transformer` tells, unless its `init_cfg` names something else."""

    def init_weights(self) -> None:
        """Load what `init_cfg` names, or start anew as the paper does."""
        if self.init_cfg is None:
            init_transformer(self)
        else:
            super().init_weights()
