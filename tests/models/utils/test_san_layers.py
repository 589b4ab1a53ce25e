"""Blocks of the side adapter network."""
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmseg.models.utils.san_layers import MLP, LayerNorm2d, PreNormLayer, cross_attn_layer, cross_attn_with_self_bias

WIDTH, HEADS, QUERIES, KEYS, BATCH = 8, 2, 3, 5, 2


def drawn(*shape):
    return torch.randn(shape)


@pytest.fixture
def weights():
    return dict(in_proj_weight=drawn(3 * WIDTH, WIDTH), in_proj_bias=drawn(3 * WIDTH),
                out_proj_weight=drawn(WIDTH, WIDTH), out_proj_bias=drawn(WIDTH), bias_k=None, bias_v=None,
                add_zero_attn=False, dropout_p=0.)


def attend(weights, query, key, **options):
    return cross_attn_with_self_bias(query, key, key, WIDTH, HEADS, **{**weights, **options})


def one_by_one(weights, query, key, **options):
    """Every query by itself, PyTorch's attention over it and the keys; and what it gives to the latter."""
    outs, shares = [], []
    mask = options.pop('attn_mask', None)
    for i in range(len(query)):
        own = None if mask is None else F.pad(mask[:, i:i + 1], (1, 0))
        both = torch.cat([query[i:i + 1], key])
        out, share = F.multi_head_attention_forward(
            query[i:i + 1], both, both, WIDTH, HEADS, training=False, attn_mask=own, **{**weights, **options})
        outs.append(out)
        shares.append(share[..., 1:KEYS + 1])
    return torch.cat(outs), torch.cat(shares, dim=1)


@pytest.mark.parametrize('options', [
    {}, dict(attn_mask=torch.randn(BATCH * HEADS, QUERIES, KEYS)), dict(in_proj_bias=None)],
    ids=['plain', 'mask', 'no bias'])
@pytest.mark.parametrize('need_weights', [True, False])
def test_attention_to_keys_and_oneself(weights, options, need_weights):
    query, key = drawn(QUERIES, BATCH, WIDTH), drawn(KEYS, BATCH, WIDTH)
    out, shares = attend(weights, query, key, need_weights=need_weights, **options)
    wanted, wanted_shares = one_by_one(weights, query, key, **options)
    torch.testing.assert_close(out, wanted)
    if need_weights:
        torch.testing.assert_close(shares, wanted_shares)
    else:
        assert shares is None


def test_keys_that_take_no_part(weights):
    query, key = drawn(QUERIES, BATCH, WIDTH), drawn(KEYS, BATCH, WIDTH)
    padding = torch.zeros(BATCH, KEYS, dtype=torch.bool)
    padding[:, 3:] = True
    fewer = attend(weights, query, key[:3])[0]
    torch.testing.assert_close(attend(weights, query, key, key_padding_mask=padding)[0], fewer)
    forbidden = padding[:1].expand(QUERIES, -1)
    torch.testing.assert_close(attend(weights, query, key, attn_mask=forbidden)[0], fewer)


def test_constant_keys_and_values(weights):
    query, key = drawn(QUERIES, BATCH, WIDTH), drawn(KEYS, BATCH, WIDTH)
    rows = dict(bias_k=drawn(1, 1, WIDTH), bias_v=drawn(1, 1, WIDTH), add_zero_attn=True)
    wanted, _ = one_by_one(weights, query, key, **rows)
    torch.testing.assert_close(attend(weights, query, key, **rows)[0], wanted)


def test_separate_and_static_projections(weights):
    query, key = drawn(QUERIES, BATCH, WIDTH), drawn(KEYS, BATCH, WIDTH)
    wanted = attend(weights, query, key)[0]
    parts = dict(zip(('q_proj_weight', 'k_proj_weight', 'v_proj_weight'), weights['in_proj_weight'].chunk(3)))
    separate = attend(dict(weights, in_proj_weight=None), query, key, use_separate_proj_weight=True, **parts)[0]
    torch.testing.assert_close(separate, wanted)
    static = [F.linear(key, weights['in_proj_weight'].chunk(3)[i], weights['in_proj_bias'].chunk(3)[i])
              .unflatten(2, (HEADS, -1)).permute(1, 2, 0, 3).flatten(0, 1) for i in (1, 2)]
    torch.testing.assert_close(attend(weights, query, key, static_k=static[0], static_v=static[1])[0], wanted)


def test_widths_are_checked(weights):
    with pytest.raises(ValueError, match='queries of 8 channels: expected embed_dim_to_check=9'):
        cross_attn_with_self_bias(*[drawn(1, 1, WIDTH)] * 3, 9, HEADS, **weights)


def test_a_layer_looks_aside():
    layer = PreNormLayer(WIDTH, HEADS)
    x, memory = drawn(1, BATCH, WIDTH), drawn(KEYS, BATCH, WIDTH)
    # One query that sees itself and the memory is the first token of a sequence of all.
    whole = layer(torch.cat([x, memory]).transpose(0, 1))[:, :1].transpose(0, 1)
    found = cross_attn_layer(layer, x, memory, torch.zeros(BATCH * HEADS, 1, KEYS))
    torch.testing.assert_close(found, whole)
    blind = cross_attn_layer(layer, x, memory, torch.full((BATCH * HEADS, 1, KEYS), float('-inf')))
    torch.testing.assert_close(blind, layer(x.transpose(0, 1)).transpose(0, 1))


def test_pre_norm_layer_is_that_of_pytorch():
    layer = PreNormLayer(WIDTH, HEADS, mlp_ratio=2, act_cfg=dict(type='GELU'))
    theirs = nn.TransformerEncoderLayer(WIDTH, HEADS, 2 * WIDTH, 0., F.gelu, batch_first=True, norm_first=True)
    for ours, part in ((layer.attentions[0].attn, theirs.self_attn), (layer.norms[0], theirs.norm1),
                       (layer.norms[1], theirs.norm2), (layer.ffns[0].layers[0][0], theirs.linear1),
                       (layer.ffns[0].layers[1], theirs.linear2)):
        part.load_state_dict(ours.state_dict())
    x = drawn(BATCH, KEYS, WIDTH)
    torch.testing.assert_close(layer(x), theirs(x))


def test_mlp():
    mlp = MLP(4, 6, 2, num_layers=3)
    assert [tuple(layer.weight.shape) for layer in mlp.layers] == [(6, 4), (6, 6), (2, 6)]
    x = drawn(5, 4)
    first, second, third = mlp.layers
    torch.testing.assert_close(mlp(x), third(second(first(x).clamp(min=0)).clamp(min=0)))
    pointwise = MLP(4, 6, 2, 3, partial(nn.Conv2d, kernel_size=1))
    for ours, layer in zip(pointwise.layers, mlp.layers):
        ours.load_state_dict({'weight': layer.weight[:, :, None, None], 'bias': layer.bias})
    torch.testing.assert_close(pointwise(x.T.reshape(1, 4, 5, 1)).flatten(2)[0].T, mlp(x))


def test_layer_norm_of_maps():
    norm = LayerNorm2d(normalized_shape=4)
    x = drawn(2, 4, 3, 5)
    assert norm.eps == 1e-6
    deviation = (x.var(1, correction=0, keepdim=True) + 1e-6)**.5
    torch.testing.assert_close(norm(x), (x - x.mean(1, keepdim=True)) / deviation)
