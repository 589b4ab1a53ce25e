"""How the weights of plain vision transformers are published: by timm and DeiT, by their authors in JAX, BEiT, MAE."""
from __future__ import annotations

import re
from math import isqrt

from mmseg.utils.weight_layout import MLP, Layout, Shapes, Weights, count, shape_of, size_of

_PATCHES = 'patch_embed.projection.weight'
_HIDDEN = 'layers.0.ffn.layers.0.0.weight'


def _vision_transformer(weights: Weights, kernel: tuple[int, ...], width: int, hidden: int) -> dict:
    """The config that fits weights whose patches have the kernel (in_channels, side).

    The number of heads cannot be seen from weights and changes none of their shapes.
    """
    in_channels, side = kernel
    tokens = shape_of(weights, 'pos_embed', (1, 197, width))[1]
    return dict(
        type='VisionTransformer', img_size=side * max(1, isqrt(tokens - 1)), patch_size=side, patch_bias=True,
        in_channels=in_channels, embed_dims=width, num_heads=1, num_layers=count(weights, r'layers\.(\d+)\.', 12),
        mlp_ratio=hidden // width, qkv_bias='layers.0.attn.attn.in_proj_bias' in weights,
        pre_norm='ln_pre.weight' in weights, final_norm='ln1.weight' in weights)


def _of_timm(weights: Weights) -> dict:
    width, in_channels, side, _ = shape_of(weights, _PATCHES, (768, 3, 16, 16))
    return _vision_transformer(weights, (in_channels, side), width, size_of(weights, _HIDDEN, 4 * width))


def _into_positions(weights: Weights, shapes: Shapes) -> Weights:
    """Let the position embedding carry the bias of the patches, which our patches do not have: the sum is the same.

    The position of a distillation token, which comes second, goes with that token.
    """
    tokens = shape_of(weights, 'pos_embed', (0, 0, 0))[1]
    if tokens < 3:
        return weights  # which are judged by their shapes
    kept = [0, *range(2, tokens)] if isqrt(tokens - 2)**2 == tokens - 2 else slice(None)
    weights = dict(weights, pos_embed=weights['pos_embed'][:, kept].clone())
    bias = weights.pop('patch_embed.projection.bias', None)
    if bias is not None:
        weights['pos_embed'][:, 1:] += bias
    return weights


TIMM = Layout(
    origin="timm's or DeiT's vision transformer",
    target=_of_timm,
    adapt=_into_positions,
    left_out=(r'(backbone\.)?(head|head_dist|pre_logits|fc_norm)\.', r'(backbone\.)?dist_token$'),
    not_there=(r'patch_embed\.projection\.bias$',),
    renames=(
        (r'^backbone\.', ''),
        (r'^norm\.', 'ln1.'),
        (r'^norm_pre\.', 'ln_pre.'),
        (r'^patch_embed\.proj\.', 'patch_embed.projection.'),
        (r'^blocks\.', 'layers.'),
        (r'\.norm([12])\.', r'.ln\1.'),
        (r'\.attn\.qkv\.', '.attn.attn.in_proj_'),
        (r'\.attn\.proj\.', '.attn.attn.out_proj.'),
        *MLP,
    ))


# ---------------------------------------------------------------------------------------------------------------- JAX

def _of_jax(weights: Weights) -> dict:
    side, _, in_channels, width = shape_of(weights, _PATCHES, (16, 16, 3, 768))
    return _vision_transformer(weights, (in_channels, side), width, shape_of(weights, _HIDDEN, (width, 4 * width))[1])


def _outputs_first(weights: Weights, shapes: Shapes) -> Weights:
    """Order the axes as PyTorch does: JAX has those of the outputs last, and an axis of its own for the heads."""
    turned = {}
    for key, x in weights.items():
        if key.endswith('in_proj_weight'):  # (3 in) heads c -> (3 heads c) in
            x = x.unflatten(0, (3, -1)).flatten(2).transpose(1, 2).flatten(0, 1)
        elif key.endswith('in_proj_bias'):  # (3 heads) c -> (3 heads c)
            x = x.flatten()
        elif key == _PATCHES:  # height width in out -> out in height width
            x = x.permute(3, 2, 0, 1)
        elif key.endswith('.weight') and x.dim() > 1:  # (heads c) out, or in out -> out in
            x = x.flatten(0, -2).T
        turned[key] = x
    return _into_positions(turned, shapes)


JAX = Layout(
    origin='the vision transformer of its authors, in JAX',
    target=_of_jax,
    adapt=_outputs_first,
    left_out=(r'((opt/)?target/|params/)?(head|pre_logits)/',),
    not_there=TIMM.not_there,
    renames=(
        (r'^((opt/)?target|params)/', ''),
        (r'^cls$', 'cls_token'),
        (r'^Transformer/posembed_input/pos_embedding$', 'pos_embed'),
        (r'^embedding/', 'patch_embed.projection/'),
        (r'^Transformer/encoder_norm/', 'ln1/'),
        (r'^Transformer/encoderblock_(\d+)/', r'layers.\1.'),
        (r'\.LayerNorm_0/', '.ln1/'),
        (r'\.LayerNorm_2/', '.ln2/'),
        *((rf'\.MultiHeadDotProductAttention_1/{part}/kernel$', f'.attn.attn.in_proj_weight#{i}')
          for i, part in enumerate(('query', 'key', 'value'))),
        *((rf'\.MultiHeadDotProductAttention_1/{part}/bias$', f'.attn.attn.in_proj_bias#{i}')
          for i, part in enumerate(('query', 'key', 'value'))),
        (r'\.MultiHeadDotProductAttention_1/out/', '.attn.attn.out_proj/'),
        (r'\.MlpBlock_3/Dense_0/', '.ffn.layers.0.0/'),
        (r'\.MlpBlock_3/Dense_1/', '.ffn.layers.1/'),
        (r'/(kernel|scale)$', '.weight'),
        (r'/bias$', '.bias'),
    ))


# ------------------------------------------------------------------------------------------------------- BEiT and MAE

_TABLE = 'layers.0.attn.relative_position_bias_table'


def _of_beit(weights: Weights) -> dict:
    width, in_channels, side, _ = shape_of(weights, _PATCHES, (768, 3, 16, 16))
    shared = dict(
        patch_size=side, in_channels=in_channels, embed_dims=width, num_layers=count(weights, r'layers\.(\d+)\.', 12),
        mlp_ratio=size_of(weights, _HIDDEN, 4 * width) / width, init_values=float('layers.0.gamma_1' in weights))
    if 'pos_embed' in weights:
        tokens = shape_of(weights, 'pos_embed', (1, 197, width))[1]
        return dict(shared, type='MAE', num_heads=1, img_size=side * max(1, isqrt(tokens - 1)))
    positions, heads = shape_of(weights, _TABLE, (732, 12))
    window = (isqrt(max(1, positions - 3)) + 1) // 2
    return dict(shared, type='BEiT', num_heads=heads, img_size=side * window,
                qv_bias='layers.0.attn.q_bias' in weights)


def _position_biases_for_all(weights: Weights, shapes: Shapes) -> Weights:
    """Give every layer the position biases that pre-training has once for all of them."""
    shared = {key: re.sub(r'^layers\.\d+', 'layers.0', key) for key in shapes if 'relative_position' in key}
    return {**{key: weights[first] for key, first in shared.items() if first in weights}, **weights}


BEIT = Layout(
    origin="the authors of BEiT or MAE",
    target=_of_beit,
    adapt=_position_biases_for_all,
    left_out=(r'(head|lm_head|norm|fc_norm)\.', r'decoder_', r'mask_token$'),
    not_there=(r'layers\.\d+\.attn\.relative_position_',),  # new in MAE, whose pre-training knows none
    renames=(
        (r'^patch_embed\.proj\.', 'patch_embed.projection.'),
        (r'^rel_pos_bias\.', 'layers.0.attn.'),
        (r'^blocks\.', 'layers.'),
        (r'\.norm([12])\.', r'.ln\1.'),
        *MLP,
    ))
