"""What the side adapter network consists of besides the usual blocks, https://arxiv.org/abs/2302.12242."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule, ModuleList
from torch import nn

from mmseg.models.utils import layer_norm
from mmseg.models.utils.attention import FFN, MultiheadAttention

_GELU = dict(type='GELU')
_LN = dict(type='LN')


class PreNormLayer(BaseModule):
    """Attention and a feed-forward layer, each after a norm and beside a shortcut, of tokens (B, N, C).

    Its parts have the names that mmcv gives those of its `BaseTransformerLayer`, and so has published weights.

    Args:
        embed_dims: channels of the tokens.
        mlp_ratio: channels inside the feed-forward layer for each of the outer ones.
        num_fcs: linear maps of the feed-forward layer.
    """

    def __init__(self, embed_dims: int, num_heads: int, mlp_ratio: int = 4, num_fcs: int = 2, qkv_bias: bool = True,
                 act_cfg: dict = _GELU, norm_cfg: dict = _LN):
        super().__init__()
        self.attentions = ModuleList([MultiheadAttention(embed_dims, num_heads, bias=qkv_bias)])
        self.ffns = ModuleList([FFN(embed_dims, mlp_ratio * embed_dims, num_fcs, act_cfg)])
        self.norms = ModuleList(build_norm_layer(norm_cfg, embed_dims)[1] for _ in range(2))

    def forward(self, x: torch.Tensor, attn_mask: torch.Tensor | None = None) -> torch.Tensor:
        """Tokens (B, N, C) -> the same shape."""
        x = self.attentions[0](self.norms[0](x), identity=x, attn_mask=attn_mask)
        return self.ffns[0](self.norms[1](x), identity=x)


class LayerNorm2d(layer_norm.LayerNorm2d):
    """Normalise the channels of each place of a map (B, C, H, W)."""

    def __init__(self, normalized_shape: int, eps: float = 1e-6):
        super().__init__(normalized_shape, eps)


class MLP(nn.Module):
    """Linear maps with a ReLU between each two.

    Args:
        input_dim, hidden_dim, output_dim: channels before, between and after the maps.
        affine_func: makes each map from two numbers of channels: `nn.Linear`, or a convolution for (B, C, H, W).
    """

    def __init__(self, input_dim: int, hidden_dim: int, output_dim: int, num_layers: int, affine_func=nn.Linear):
        super().__init__()
        widths = [input_dim, *[hidden_dim] * (num_layers - 1), output_dim]
        self.num_layers = num_layers
        self.layers = nn.ModuleList(map(affine_func, widths[:-1], widths[1:]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., input_dim) -> (..., output_dim), or maps of so many channels."""
        *hidden, last = self.layers
        for layer in hidden:
            x = layer(x).relu()
        return last(x)


def cross_attn_with_self_bias(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, embed_dim_to_check: int,
                              num_heads: int, in_proj_weight: torch.Tensor, in_proj_bias: torch.Tensor,
                              bias_k: torch.Tensor | None, bias_v: torch.Tensor | None, add_zero_attn: bool,
                              dropout_p: float, out_proj_weight: torch.Tensor, out_proj_bias: torch.Tensor,
                              training: bool = True, key_padding_mask: torch.Tensor | None = None,
                              need_weights: bool = True, attn_mask: torch.Tensor | None = None,
                              use_separate_proj_weight: bool = False, q_proj_weight: torch.Tensor | None = None,
                              k_proj_weight: torch.Tensor | None = None, v_proj_weight: torch.Tensor | None = None,
                              static_k: torch.Tensor | None = None, static_v: torch.Tensor | None = None
                              ) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Let each query attend to all keys and to itself, but to no other query.

    The arguments are those of :func:`torch.nn.functional.multi_head_attention_forward`, with sequences (L, B, C).

    Args:
        attn_mask: added to the products with the keys: (L, S), or (B * num_heads, L, S); booleans forbid.
        key_padding_mask: keys that take no part, (B, S).
        static_k, static_v: keys and values of the heads in place of projected ones, (B * num_heads, S, C / num_heads).

    Returns:
        (L, B, C), and with `need_weights` what each query gives to each key, (B, L, S), the mean of all heads; the rest
        it gives to itself.
    """
    length, batch, width = query.shape
    keys = key.shape[0] if static_k is None else static_k.shape[1]
    if width != embed_dim_to_check or width % num_heads:
        raise ValueError(f'queries of {width} channels: expected embed_dim_to_check={embed_dim_to_check}, a multiple '
                         f'of num_heads={num_heads}')
    weights = (q_proj_weight, k_proj_weight, v_proj_weight) if use_separate_proj_weight else in_proj_weight.chunk(3)
    biases = (None,) * 3 if in_proj_bias is None else in_proj_bias.chunk(3)

    def heads(x: torch.Tensor, part: int) -> torch.Tensor:  # N B C -> B heads N c
        return F.linear(x, weights[part], biases[part]).unflatten(2, (num_heads, -1)).permute(1, 2, 0, 3)

    def constant(row: torch.Tensor) -> torch.Tensor:  # 1 1 C -> B heads 1 c
        return row.view(1, num_heads, 1, -1).expand(batch, -1, -1, -1)

    q = heads(query, 0)
    own = [heads(query, 1), heads(query, 2)]  # key and value of the query itself
    others = [heads(x, part) if static is None else static.unflatten(0, (batch, num_heads))
              for x, part, static in ((key, 1, static_k), (value, 2, static_v))]
    always = [[] if row is None else [constant(row)] for row in (bias_k, bias_v)]
    if add_zero_attn:
        always = [[*rows, constant(query.new_zeros(width))] for rows in always]
    k, v = (torch.cat([mine, *rows, theirs], dim=2) for mine, rows, theirs in zip(own, always, others))

    mask = q.new_zeros(batch, num_heads, length, k.shape[2])
    mask[..., :length].masked_fill_(~torch.eye(length, dtype=torch.bool, device=q.device), float('-inf'))
    if attn_mask is not None:
        given = attn_mask if attn_mask.ndim == 2 else attn_mask.unflatten(0, (batch, num_heads))
        if given.dtype == torch.bool:
            given = mask.new_zeros(given.shape).masked_fill_(given, float('-inf'))
        mask[..., -keys:] += given
    if key_padding_mask is not None:
        mask[..., -keys:].masked_fill_(key_padding_mask.bool()[:, None, None], float('-inf'))

    dropout = dropout_p if training else 0.
    shares = None
    if need_weights:
        attention = (q @ k.transpose(2, 3) * q.shape[-1]**-0.5 + mask).softmax(dim=-1)
        shares = attention[..., -keys:].mean(dim=1)
        out = F.dropout(attention, dropout) @ v
    else:
        out = F.scaled_dot_product_attention(q, k, v, mask, dropout)
    out = out.permute(2, 0, 1, 3).flatten(2)  # B heads L c -> L B (heads c)
    return F.linear(out, out_proj_weight, out_proj_bias), shares


def cross_attn_layer(tf_layer: nn.Module, x: torch.Tensor, mem: torch.Tensor,
                     attn_bias: torch.Tensor) -> torch.Tensor:
    """Run a layer whose attention is made for one sequence as one that looks from `x` at `mem`.

    Args:
        tf_layer: such as :class:`PreNormLayer`, with `norms`, `attentions` and `ffns`.
        x: queries, (L, B, C).
        mem: what they attend to besides themselves, (S, B, C).
        attn_bias: added to the products, (B * num_heads, L, S).

    Returns:
        (L, B, C).
    """
    attn = tf_layer.attentions[0].attn
    norm = tf_layer.norms[0]
    memory = norm(mem)
    x = x + cross_attn_with_self_bias(
        norm(x), memory, memory, attn.embed_dim, attn.num_heads, attn.in_proj_weight, attn.in_proj_bias, attn.bias_k,
        attn.bias_v, attn.add_zero_attn, attn.dropout, attn.out_proj.weight, attn.out_proj.bias,
        training=attn.training, need_weights=False, attn_mask=attn_bias)[0]
    return tf_layer.ffns[0](tf_layer.norms[1](x), identity=x)
