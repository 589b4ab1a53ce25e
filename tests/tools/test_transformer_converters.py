"""Published weights of transformers and STDC, made here in small: our networks compute with them what theirs do."""
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmseg.cli.convert import main
from mmseg.registry import MODELS
from mmseg.utils.checkpoint import CheckpointError, read_checkpoint
from mmseg.utils.convert import convert, convert_file
from tests.golden import fill, image
from tests.tools.test_model_converters import drawn, layout_of, norm


def loaded(converted, **options):
    """The target with the converted weights, all of which it takes and none of which it lacks but buffers."""
    model = MODELS.build(dict(converted.target, **options)).eval()
    result = model.load_state_dict(converted.weights, strict=False)
    assert result.unexpected_keys == []
    assert [key for key in result.missing_keys if 'relative_position' not in key] == []
    return model


def same(ours, theirs):
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def linear(name, out, source):
    return {f'{name}.weight': (out, source), f'{name}.bias': (out,)}


def pair(name, channels):
    return {f'{name}.weight': (channels,), f'{name}.bias': (channels,)}


def apply(weights, name, x):
    """The linear map, convolution or layer norm of that name."""
    weight, bias = weights[f'{name}.weight'], weights.get(f'{name}.bias')
    if weight.dim() == 1:
        return F.layer_norm(x, weight.shape, weight, bias, 1e-6)
    return F.linear(x, weight, bias)


def attend(query, key, value, heads, bias=0.):
    """softmax(q k^T / sqrt(d) + bias) v, head by head: (B, N, C) and twice (B, M, C) -> (B, N, C)."""
    scores = [q @ k.transpose(1, 2) / q.shape[-1]**0.5 for q, k in zip(query.chunk(heads, -1), key.chunk(heads, -1))]
    weights = (torch.stack(scores, 1) + bias).softmax(-1)
    return torch.cat([weights[:, i] @ v for i, v in enumerate(value.chunk(heads, dim=-1))], dim=-1)


def mlp(weights, name, x):
    return apply(weights, f'{name}.fc2', F.gelu(apply(weights, f'{name}.fc1', x)))


# ------------------------------------------------------------------------------------------------- vision transformers

def timm_shapes(width=12, layers=2, tokens=17, patch_bias=True, **more):
    shapes = {'cls_token': (1, 1, width), 'pos_embed': (1, tokens, width), 'patch_embed.proj.weight': (width, 3, 8, 8),
              **pair('norm', width), **linear('head', 10, width), **more}
    if patch_bias:
        shapes['patch_embed.proj.bias'] = (width,)
    for i in range(layers):
        block = f'blocks.{i}'
        shapes.update({**pair(f'{block}.norm1', width), **linear(f'{block}.attn.qkv', 3 * width, width),
                       **linear(f'{block}.attn.proj', width, width), **pair(f'{block}.norm2', width),
                       **linear(f'{block}.mlp.fc1', 4 * width, width), **linear(f'{block}.mlp.fc2', width, 4 * width)})
    return shapes


def timm_tokens(weights, x, heads, position):
    """The patch tokens after the last norm, as timm computes them."""
    x = F.conv2d(x, weights['patch_embed.proj.weight'], weights.get('patch_embed.proj.bias'), stride=8)
    x = torch.cat([weights['cls_token'], x.flatten(2).transpose(1, 2)], 1) + position
    for i in range(2):
        block = f'blocks.{i}'
        qkv = apply(weights, f'{block}.attn.qkv', apply(weights, f'{block}.norm1', x)).chunk(3, -1)
        x = x + apply(weights, f'{block}.attn.proj', attend(*qkv, heads))
        x = x + mlp(weights, f'{block}.mlp', apply(weights, f'{block}.norm2', x))
    return apply(weights, 'norm', x)[:, 1:]


EXACT = dict(type='LN', eps=1e-6)


@torch.no_grad()
@pytest.mark.parametrize('patch_bias', [True, False])
def test_vit_of_timm(patch_bias):
    weights = drawn(timm_shapes(patch_bias=patch_bias))
    converted = convert(weights, layout_of('vit2mmseg'))
    assert converted.left_out == ['head.weight', 'head.bias'] and 'patch_embed.projection.bias' not in converted.weights
    model = loaded(converted, num_heads=3, patch_bias=False, norm_cfg=EXACT)
    ours, = model(image(32, 32))
    same(ours.flatten(2).transpose(1, 2), timm_tokens(weights, image(32, 32), 3, weights['pos_embed']))


@torch.no_grad()
def test_distilled_vit_loses_its_second_token():
    weights = drawn(timm_shapes(tokens=18, dist_token=(1, 1, 12), **linear('head_dist', 10, 12)))
    converted = convert(weights, layout_of('vit2mmseg'))
    assert 'dist_token' in converted.left_out
    ours, = loaded(converted, num_heads=3, patch_bias=False, norm_cfg=EXACT)(image(32, 32))
    position = weights['pos_embed'][:, [0, *range(2, 18)]]
    same(ours.flatten(2).transpose(1, 2), timm_tokens(weights, image(32, 32), 3, position))


def test_biased_patches_fit_other_sizes_of_images_too():
    """What the position embedding carries is the same everywhere, so it survives being resized."""
    weights = drawn(timm_shapes())
    weights['pos_embed'].zero_()
    resized = loaded(convert(weights, layout_of('vit2mmseg')), img_size=(48, 24), patch_bias=False).pos_embed
    assert resized.shape == (1, 19, 12)
    same(resized[:, 1:], weights['patch_embed.proj.bias'].expand(1, 18, 12))


def jax_arrays(prefix='', width=12, heads=3):
    rng = np.random.default_rng(0)
    size = width // heads
    shapes = {'cls': (1, 1, width), 'embedding/kernel': (8, 8, 3, width), 'embedding/bias': (width,),
              'Transformer/posembed_input/pos_embedding': (1, 17, width), 'head/kernel': (width, 5), 'head/bias': (5,),
              'pre_logits/kernel': (width, width), 'pre_logits/bias': (width,),
              'Transformer/encoder_norm/scale': (width,), 'Transformer/encoder_norm/bias': (width,)}
    for i in range(2):
        block = f'Transformer/encoderblock_{i}'
        attention = f'{block}/MultiHeadDotProductAttention_1'
        for name in ('query', 'key', 'value'):
            shapes[f'{attention}/{name}/kernel'] = (width, heads, size)
            shapes[f'{attention}/{name}/bias'] = (heads, size)
        shapes.update({f'{attention}/out/kernel': (heads, size, width), f'{attention}/out/bias': (width,),
                       f'{block}/MlpBlock_3/Dense_0/kernel': (width, 24), f'{block}/MlpBlock_3/Dense_0/bias': (24,),
                       f'{block}/MlpBlock_3/Dense_1/kernel': (24, width), f'{block}/MlpBlock_3/Dense_1/bias': (width,)})
        shapes.update({f'{block}/LayerNorm_{j}/{key}': (width,) for j in (0, 2) for key in ('scale', 'bias')})
    return {f'{prefix}{key}': rng.normal(0, 0.3, shape).astype(np.float32) for key, shape in shapes.items()}


def jax_tokens(arrays, x):
    weights = {key: torch.from_numpy(array) for key, array in arrays.items()}

    def dense(name, x):
        return x @ weights[f'{name}/kernel'] + weights[f'{name}/bias']

    def layer_norm(name, x):
        return F.layer_norm(x, x.shape[-1:], weights[f'{name}/scale'], weights[f'{name}/bias'], 1e-6)

    patches = x.unfold(2, 8, 8).unfold(3, 8, 8)  # B C h w y x
    x = torch.einsum('bchwyx,yxcd->bhwd', patches, weights['embedding/kernel']) + weights['embedding/bias']
    x = torch.cat([weights['cls'], x.flatten(1, 2)], 1) + weights['Transformer/posembed_input/pos_embedding']
    for i in range(2):
        block = f'Transformer/encoderblock_{i}'
        attention = f'{block}/MultiHeadDotProductAttention_1'
        y = layer_norm(f'{block}/LayerNorm_0', x)
        query, key, value = (torch.einsum('bnc,chd->bnhd', y, weights[f'{attention}/{name}/kernel']) +
                             weights[f'{attention}/{name}/bias'] for name in ('query', 'key', 'value'))
        shares = torch.einsum('bnhd,bmhd->bhnm', query / query.shape[-1]**0.5, key).softmax(-1)
        y = torch.einsum('bhnm,bmhd->bnhd', shares, value)
        x = x + torch.einsum('bnhd,hdc->bnc', y, weights[f'{attention}/out/kernel']) + weights[f'{attention}/out/bias']
        y = F.gelu(dense(f'{block}/MlpBlock_3/Dense_0', layer_norm(f'{block}/LayerNorm_2', x)))
        x = x + dense(f'{block}/MlpBlock_3/Dense_1', y)
    return layer_norm('Transformer/encoder_norm', x)[:, 1:]


@torch.no_grad()
@pytest.mark.parametrize('prefix', ['', 'opt/target/'])
def test_vit_of_jax(tmp_path, prefix):
    np.savez(tmp_path / 'ViT.npz', **jax_arrays(prefix))
    converted = convert_file(tmp_path / 'ViT.npz', tmp_path / 'vit.pth', layout_of('vitjax2mmseg'))
    assert sorted(key.removeprefix(prefix) for key in converted.left_out) == [
        'head/bias', 'head/kernel', 'pre_logits/bias', 'pre_logits/kernel']
    model = loaded(converted, num_heads=3, patch_bias=False, norm_cfg=EXACT)
    ours, = model(image(32, 32))
    same(ours.flatten(2).transpose(1, 2), jax_tokens(jax_arrays(), image(32, 32)))


# ------------------------------------------------------------------------------------------------------- BEiT and MAE

def relative_index(side):
    """The numbers of relative positions as BEiT's authors draw them up."""
    coords = torch.stack(torch.meshgrid(torch.arange(side), torch.arange(side), indexing='ij')).flatten(1)
    relative = (coords[:, :, None] - coords[:, None]).permute(1, 2, 0) + side - 1
    most = (2 * side - 1)**2 + 3
    index = torch.zeros((side**2 + 1,) * 2, dtype=torch.long)
    index[1:, 1:] = relative[..., 0] * (2 * side - 1) + relative[..., 1]
    index[0, :], index[:, 0], index[0, 0] = most - 3, most - 2, most - 1
    return index


def beit_weights(shared, width=12, heads=3):
    shapes = timm_shapes(width)
    del shapes['pos_embed'], shapes['norm.weight'], shapes['norm.bias']
    shapes.update(pair('fc_norm', width), mask_token=(1, 1, width))
    tables = ['rel_pos_bias'] if shared else ['blocks.0.attn', 'blocks.1.attn']
    for i in range(2):
        del shapes[f'blocks.{i}.attn.qkv.bias']
        shapes.update({f'blocks.{i}.attn.{key}_bias': (width,) for key in 'qv'},
                      **{f'blocks.{i}.gamma_{j}': (width,) for j in (1, 2)})
    shapes.update({f'{name}.relative_position_bias_table': (52, heads) for name in tables})
    weights = drawn(shapes)
    weights.update({f'{name}.relative_position_index': relative_index(4) for name in tables})
    return weights


def beit_tokens(weights, x):
    x = F.conv2d(x, weights['patch_embed.proj.weight'], weights['patch_embed.proj.bias'], stride=8)
    x = torch.cat([weights['cls_token'], x.flatten(2).transpose(1, 2)], 1)
    for i in range(2):
        block = f'blocks.{i}'
        table = 'rel_pos_bias' if 'rel_pos_bias.relative_position_index' in weights else f'{block}.attn'
        bias = weights[f'{table}.relative_position_bias_table'][weights[f'{table}.relative_position_index']]
        qkv_bias = torch.cat([weights[f'{block}.attn.q_bias'], torch.zeros(12), weights[f'{block}.attn.v_bias']])
        qkv = F.linear(apply(weights, f'{block}.norm1', x), weights[f'{block}.attn.qkv.weight'], qkv_bias).chunk(3, -1)
        y = apply(weights, f'{block}.attn.proj', attend(*qkv, 3, bias.permute(2, 0, 1)))
        x = x + weights[f'{block}.gamma_1'] * y
        x = x + weights[f'{block}.gamma_2'] * mlp(weights, f'{block}.mlp', apply(weights, f'{block}.norm2', x))
    return x[:, 1:]


@torch.no_grad()
@pytest.mark.parametrize('shared', [True, False])
def test_beit(shared):
    weights = beit_weights(shared)
    converted = convert(weights, layout_of('beit2mmseg'))
    assert converted.target['type'] == 'BEiT' and converted.target['img_size'] == 32
    assert set(converted.left_out) == {'mask_token', 'fc_norm.weight', 'fc_norm.bias', 'head.weight', 'head.bias'}
    model = loaded(converted, norm_cfg=EXACT)
    torch.testing.assert_close(model.layers[1].attn.relative_position_index, relative_index(4), rtol=0, atol=0)
    ours, = model(image(32, 32))
    same(ours.flatten(2).transpose(1, 2), beit_tokens(weights, image(32, 32)))


@torch.no_grad()
def test_mae_starts_without_position_biases():
    weights = drawn(timm_shapes(decoder_embed=(3,), mask_token=(1, 1, 12)))
    converted = convert(weights, layout_of('beit2mmseg'))
    assert converted.target['type'] == 'MAE' and converted.target['img_size'] == 32
    ours, = loaded(converted, num_heads=3, init_values=0, norm_cfg=EXACT)(image(32, 32))
    same(apply(weights, 'norm', ours.flatten(2).transpose(1, 2)),
         timm_tokens(weights, image(32, 32), 3, weights['pos_embed']))


# --------------------------------------------------------------------------------------------------------------- Swin

def swin_weights(window=3, by_timm=False):
    shapes = {'patch_embed.proj.weight': (6, 3, 4, 4), 'patch_embed.proj.bias': (6,), **pair('patch_embed.norm', 6),
              **pair('norm', 24), **linear('head.fc' if by_timm else 'head', 5, 24)}
    for i, width in enumerate((6, 12, 24)):
        for j in range(2):
            block = f'layers.{i}.blocks.{j}'
            shapes.update({
                **pair(f'{block}.norm1', width), **linear(f'{block}.attn.qkv', 3 * width, width),
                f'{block}.attn.relative_position_bias_table': ((2 * window - 1)**2, 3 * 2**i),
                **linear(f'{block}.attn.proj', width, width), **pair(f'{block}.norm2', width),
                **linear(f'{block}.mlp.fc1', 4 * width, width), **linear(f'{block}.mlp.fc2', width, 4 * width)})
            if j and not by_timm:
                shapes[f'{block}.attn_mask'] = (4, window**2, window**2)
        if i < 2:
            merging = f'layers.{i + by_timm}.downsample'
            shapes.update({**pair(f'{merging}.norm', 4 * width), f'{merging}.reduction.weight': (2 * width, 4 * width)})
    weights = drawn(shapes)
    if not by_timm:
        index = relative_index(window)[1:, 1:]
        weights.update({f'layers.{i}.blocks.{j}.attn.relative_position_index': index
                        for i in range(3) for j in range(2)})
    return weights


@torch.no_grad()
@pytest.mark.parametrize('by_timm', [False, True])
def test_swin(by_timm):
    weights = swin_weights(by_timm=by_timm)
    converted = convert(weights, layout_of('swin2mmseg'))
    target = converted.target
    assert target['depths'] == [2, 2, 2] and target['num_heads'] == [3, 6, 12] and target['window_size'] == 3
    model = loaded(converted)
    for new, old in (('patch_embed.projection.weight', 'patch_embed.proj.weight'),
                     ('stages.1.blocks.1.attn.w_msa.qkv.bias', 'layers.1.blocks.1.attn.qkv.bias'),
                     ('stages.2.blocks.0.attn.w_msa.relative_position_bias_table',
                      'layers.2.blocks.0.attn.relative_position_bias_table'),
                     ('stages.0.blocks.1.ffn.layers.0.0.weight', 'layers.0.blocks.1.mlp.fc1.weight'),
                     ('stages.0.blocks.1.ffn.layers.1.bias', 'layers.0.blocks.1.mlp.fc2.bias')):
        torch.testing.assert_close(converted.weights[new], weights[old], rtol=0, atol=0)
    torch.testing.assert_close(model.stages[1].blocks[0].attn.w_msa.relative_position_index, relative_index(3)[1:, 1:])
    assert [model.state_dict()[f'norm{i}.{key}'].unique().tolist() for i in range(3) for key in ('weight', 'bias')] == \
        [[1.0], [0.0]] * 3
    assert len(model(image(65, 97))) == 3


@torch.no_grad()
@pytest.mark.parametrize('stage', [0, 1])
def test_swin_merges_the_same_patches(stage):
    weights = swin_weights()
    model = loaded(convert(weights, layout_of('swin2mmseg')))
    x = torch.randn(2, 6, 10, 6 * 2**stage)
    merged = torch.cat([x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]], -1).flatten(1, 2)
    theirs = F.layer_norm(merged, merged.shape[-1:], weights[f'layers.{stage}.downsample.norm.weight'],
                          weights[f'layers.{stage}.downsample.norm.bias'])
    ours, size = model.stages[stage].downsample(x.flatten(1, 2), (6, 10))
    assert tuple(size) == (3, 5)
    same(ours, apply(weights, f'layers.{stage}.downsample.reduction', theirs))


# ---------------------------------------------------------------------------------------------------------------- MiT

WIDTHS, DEPTHS, RATIOS = (4, 8, 20, 32), (1, 2, 1, 1), (8, 4, 2, 1)


def attention_shapes(block, width, ratio):
    """Attention to fewer keys, as MiT and Twins name it."""
    shapes = {**linear(f'{block}.attn.q', width, width), **linear(f'{block}.attn.kv', 2 * width, width),
              **linear(f'{block}.attn.proj', width, width)}
    if ratio > 1:
        shapes.update({f'{block}.attn.sr.weight': (width, width, ratio, ratio), f'{block}.attn.sr.bias': (width,),
                       **pair(f'{block}.attn.norm', width)})
    return shapes


def reduced_attention(weights, name, x, size, heads):
    keys = x
    if f'{name}.sr.weight' in weights:
        weight = weights[f'{name}.sr.weight']
        keys = F.conv2d(x.transpose(1, 2).unflatten(2, size), weight, weights[f'{name}.sr.bias'], weight.shape[-1])
        keys = apply(weights, f'{name}.norm', keys.flatten(2).transpose(1, 2))
    key, value = apply(weights, f'{name}.kv', keys).chunk(2, -1)
    return apply(weights, f'{name}.proj', attend(apply(weights, f'{name}.q', x), key, value, heads))


def mit_shapes(prefix=''):
    shapes = {}
    for i, (width, depth, ratio) in enumerate(zip(WIDTHS, DEPTHS, RATIOS), 1):
        side, source = (7, 3) if i == 1 else (3, WIDTHS[i - 2])
        embed = f'patch_embed{i}'
        shapes.update({f'{embed}.proj.weight': (width, source, side, side), f'{embed}.proj.bias': (width,),
                       **pair(f'{embed}.norm', width), **pair(f'norm{i}', width)})
        for j in range(depth):
            block = f'block{i}.{j}'
            shapes.update({**pair(f'{block}.norm1', width), **attention_shapes(block, width, ratio),
                           **pair(f'{block}.norm2', width), **linear(f'{block}.mlp.fc1', 4 * width, width),
                           f'{block}.mlp.dwconv.dwconv.weight': (4 * width, 1, 3, 3),
                           f'{block}.mlp.dwconv.dwconv.bias': (4 * width,),
                           **linear(f'{block}.mlp.fc2', width, 4 * width)})
    return {f'{prefix}{key}': shape for key, shape in shapes.items()}


def mit_features(weights, x):
    """The features of the authors' network."""
    features = []
    for i, (width, depth) in enumerate(zip(WIDTHS, DEPTHS), 1):
        kernel = weights[f'patch_embed{i}.proj.weight']
        x = F.conv2d(x, kernel, weights[f'patch_embed{i}.proj.bias'], 4 if i == 1 else 2, kernel.shape[-1] // 2)
        size = x.shape[2:]
        x = apply(weights, f'patch_embed{i}.norm', x.flatten(2).transpose(1, 2))
        for j in range(depth):
            block = f'block{i}.{j}'
            y = apply(weights, f'{block}.norm1', x)
            x = x + reduced_attention(weights, f'{block}.attn', y, size, width // 4)
            y = apply(weights, f'{block}.mlp.fc1', apply(weights, f'{block}.norm2', x))
            y = y.transpose(1, 2).unflatten(2, size)
            y = F.conv2d(y, weights[f'{block}.mlp.dwconv.dwconv.weight'], weights[f'{block}.mlp.dwconv.dwconv.bias'],
                         padding=1, groups=4 * width)
            x = x + apply(weights, f'{block}.mlp.fc2', F.gelu(y.flatten(2).transpose(1, 2)))
        x = apply(weights, f'norm{i}', x).transpose(1, 2).unflatten(2, size)
        features.append(x)
    return features


def hugging_face(weights):
    """The same weights as Hugging Face splits and names them."""
    renamed = {}
    for key, x in weights.items():
        first, *rest = key.split('.')
        kind, stage = first.rstrip('1234'), int(first[-1]) - 1
        rest = '.'.join(rest)
        if kind == 'block':
            parts = [('attn.q.', 'attention.self.query.', x), ('attn.proj.', 'attention.output.dense.', x),
                     ('attn.sr.', 'attention.self.sr.', x), ('attn.norm.', 'attention.self.layer_norm.', x),
                     ('mlp.fc1.', 'mlp.dense1.', x), ('mlp.fc2.', 'mlp.dense2.', x), ('mlp.dwconv.', 'mlp.dwconv.', x),
                     ('norm1.', 'layer_norm_1.', x), ('norm2.', 'layer_norm_2.', x)]
            if '.attn.kv.' in key:
                halves = zip(('key', 'value'), x.chunk(2))
                parts = [('attn.kv.', f'attention.self.{name}.', half) for name, half in halves]
            number, rest = rest.split('.', 1)
            renamed.update({f'block.{stage}.{number}.{new}{rest.removeprefix(old)}': value
                            for old, new, value in parts if rest.startswith(old)})
        elif kind == 'norm':
            renamed[f'layer_norm.{stage}.{rest}'] = x
        else:
            renamed[f'patch_embeddings.{stage}.{rest.replace("norm.", "layer_norm.")}'] = x
    assert sum(value.numel() for value in renamed.values()) == sum(value.numel() for value in weights.values())
    return renamed


HEAD, CLASSIFIER = linear('head', 5, 32), linear('classifier', 5, 32)
DECODE_HEAD = {'decode_head.linear_c4.proj.weight': (8, 32), 'decode_head.linear_fuse.conv.weight': (8, 32, 1, 1),
               'decode_head.linear_pred.bias': (5,), 'decode_head.conv_seg.weight': (5, 8, 1, 1)}


def prefixed(prefix, weights, more):
    return {**{f'{prefix}{key}': value for key, value in weights.items()}, **drawn(more)}


@torch.no_grad()
@pytest.mark.parametrize('wrap, left_out', [
    (lambda w: prefixed('', w, HEAD), HEAD),
    (lambda w: prefixed('', w, {}), {}),
    (lambda w: dict(state_dict=prefixed('backbone.', w, DECODE_HEAD), meta=dict(epoch=3)), DECODE_HEAD),
    (lambda w: dict(model=prefixed('module.', w, {})), {}),
    (lambda w: prefixed('segformer.encoder.', hugging_face(w), CLASSIFIER), CLASSIFIER),
    (lambda w: prefixed('encoder.', hugging_face(w), {}), {}),
    (lambda w: prefixed('segformer.encoder.', hugging_face(w), DECODE_HEAD), DECODE_HEAD),
])
def test_mit(tmp_path, wrap, left_out):
    weights = drawn(mit_shapes())
    torch.save(wrap(weights), tmp_path / 'theirs.pth')
    converted = convert_file(tmp_path / 'theirs.pth', tmp_path / 'ours.pth', layout_of('mit2mmseg'))
    assert set(converted.left_out) == set(left_out)
    wanted = dict(embed_dims=4, num_heads=[1, 2, 5, 8], num_layers=[1, 2, 1, 1], sr_ratios=[8, 4, 2, 1], mlp_ratio=4,
                  patch_sizes=[7, 3, 3, 3], qkv_bias=True)
    assert {key: converted.target[key] for key in wanted} == wanted
    written = read_checkpoint(tmp_path / 'ours.pth')['state_dict']
    model = MODELS.build(dict(type='MixVisionTransformer', **wanted)).eval()
    model.load_state_dict(written, strict=True)
    for ours, theirs in zip(model(image(64, 96)), mit_features(weights, image(64, 96))):
        same(ours, theirs)


@pytest.mark.parametrize('change, words', [
    (lambda w: w.pop('block2.1.attn.kv.weight'), r'in_proj_weight \[8, 8\] for \[24, 8\] of layers.1.1.1.attn.attn'),
    (lambda w: w.update({'block1.0.attn.kv.bias': torch.ones(3, 2)}), 'cannot be joined, of the shapes'),
    (lambda w: w.pop('norm4.weight'), '1 are missing: layers.3.2.weight'),
    (lambda w: w.update({'block1.0.ls.gamma': torch.ones(3)}), 'not known: block1.0.ls.gamma'),
])
def test_mit_that_lacks_or_has_something_else_is_refused(tmp_path, change, words):
    weights = drawn(mit_shapes())
    change(weights)
    torch.save(weights, tmp_path / 'theirs.pth')
    with pytest.raises(CheckpointError, match=words):
        convert_file(tmp_path / 'theirs.pth', tmp_path / 'ours.pth', layout_of('mit2mmseg'))
    assert [path.name for path in tmp_path.iterdir()] == ['theirs.pth']


# -------------------------------------------------------------------------------------------------------------- Twins

def twins_weights(windows):
    shapes = {**pair('norm', 24), **linear('head', 5, 24)}
    for i, (width, ratio, depth) in enumerate(((8, 4, 2), (12, 2, 2), (24, 1, 2))):
        side, source = (4, 3) if i == 0 else (2, (8, 12)[i - 1])
        shapes.update({f'patch_embeds.{i}.proj.weight': (width, source, side, side),
                       f'patch_embeds.{i}.proj.bias': (width,), **pair(f'patch_embeds.{i}.norm', width),
                       f'pos_block.{i}.proj.0.weight': (width, 1, 3, 3), f'pos_block.{i}.proj.0.bias': (width,)})
        for j in range(depth):
            block = f'blocks.{i}.{j}'
            attention = {**linear(f'{block}.attn.qkv', 3 * width, width), **linear(f'{block}.attn.proj', width, width)}
            shapes.update(attention if windows and j % 2 == 0 else attention_shapes(block, width, ratio))
            shapes.update({
                **pair(f'{block}.norm1', width), **pair(f'{block}.norm2', width),
                **linear(f'{block}.mlp.fc1', 2 * width, width), **linear(f'{block}.mlp.fc2', width, 2 * width)})
    return drawn(shapes)


@torch.no_grad()
@pytest.mark.parametrize('windows', [True, False])
def test_twins(tmp_path, windows):
    weights = twins_weights(windows)
    torch.save(dict(model=weights), tmp_path / 'theirs.pth')
    kind = 'svt' if windows else 'pcpvt'  # which 1.x wants to be told
    assert main('', layout_of('twins2mmseg'), [str(tmp_path / 'theirs.pth'), str(tmp_path / 'ours.pth'), kind],
                kinds=('pcpvt', 'svt')) == 0
    model = MODELS.build(dict(
        type='SVT' if windows else 'PCPVT', embed_dims=(8, 12, 24), num_heads=(1, 2, 4), patch_sizes=(4, 2, 2),
        strides=(4, 2, 2), mlp_ratios=(2, 2, 2), depths=(2, 2, 2), sr_ratios=(4, 2, 1), qkv_bias=True,
        norm_cfg=EXACT, norm_after_stage=windows, **(dict(windiow_sizes=(4, 4, 4)) if windows else {}))).eval()
    model.load_state_dict(read_checkpoint(tmp_path / 'ours.pth')['state_dict'], strict=True)
    if windows:
        assert all(layer.weight.eq(1).all() and layer.bias.eq(0).all() for layer in model.norm_list)

    size = (16, 12)
    x = torch.randn(2, 16 * 12, 8)

    def within_windows(y):
        """Attention of the tokens of each square of 4x4."""
        q, k, v = (part.unflatten(1, (4, 4, 3, 4)).transpose(2, 3).flatten(3, 4).flatten(0, 2)  # (B Y X) (y x) C
                   for part in apply(weights, 'blocks.0.0.attn.qkv', y).chunk(3, -1))
        out = attend(q, k, v, 1).unflatten(0, (2, 4, 3)).unflatten(3, (4, 4)).transpose(2, 3)
        return apply(weights, 'blocks.0.0.attn.proj', out.flatten(1, 4))

    for j in range(2):
        block = f'blocks.0.{j}'
        y = apply(weights, f'{block}.norm1', x)
        theirs = x + (within_windows(y) if windows and j == 0 else
                      reduced_attention(weights, f'{block}.attn', y, size, 1))
        theirs = theirs + mlp(weights, f'{block}.mlp', apply(weights, f'{block}.norm2', theirs))
        same(model.layers[0][j](x, size), theirs)
    encoding = F.conv2d(x.transpose(1, 2).unflatten(2, size), weights['pos_block.0.proj.0.weight'],
                        weights['pos_block.0.proj.0.bias'], padding=1, groups=8).flatten(2).transpose(1, 2)
    same(model.position_encodings[0](x, size), x + encoding)
    assert len(model(image(65, 97))) == 3


# --------------------------------------------------------------------------------------------------------------- STDC

def stdc_of_the_authors(model, prefix):
    """The weights of our network under the authors' names, and again by the stride of their features."""
    modules = [model.stages[0], model.stages[1], *(module for stage in list(model.stages)[2:] for module in stage)]
    theirs = {}
    for i, module in enumerate(modules):
        for key, value in module.state_dict().items():
            for new, old in (('layers.', 'conv_list.'), ('downsample.conv', 'avd_layer.0'),
                             ('downsample.bn', 'avd_layer.1'), ('skip.0.conv', 'skip.0'), ('skip.0.bn', 'skip.1'),
                             ('skip.1.conv', 'skip.2'), ('skip.1.bn', 'skip.3')):
                key = key.replace(new, old)
            theirs[f'{prefix}features.{i}.{key}'] = value
    again = {key.replace('features.0.', 'x2.0.'): value for key, value in theirs.items() if 'features.0.' in key}
    return {**theirs, **again}


@pytest.mark.parametrize('kind, bottleneck, prefix, rest', [
    ('STDCNet1', 'cat', '', {**norm('bn', 4), 'fc.weight': (4, 4), 'linear.weight': (2, 4), 'conv_last.bn.bias': (1,)}),
    ('STDCNet2', 'cat', 'cp.backbone.', {'cp.arm16.conv.conv.weight': (2,), 'ffm.conv1.weight': (2,),
                                         'conv_out_sp8.conv.bn.weight': (2,), 'conv_out.conv_out.weight': (1,)}),
    ('STDCNet1', 'add', '', {}),
])
def test_stdc(kind, bottleneck, prefix, rest):
    model = fill(MODELS.build(dict(
        type='STDCNet', stdc_type=kind, in_channels=3, channels=(4, 8, 16, 32, 64), bottleneck_type=bottleneck,
        norm_cfg=dict(type='BN'), act_cfg=dict(type='ReLU'))))
    theirs = {**stdc_of_the_authors(model, prefix), **drawn(rest)}
    converted = convert(theirs, layout_of('stdc2mmseg'))
    assert converted.target['stdc_type'] == kind
    assert {key for key in converted.left_out if 'x2' not in key} == set(rest)
    torch.testing.assert_close(converted.weights, dict(model.state_dict()), rtol=0, atol=0)
    loaded(converted)
