"""Transformers of queries, their positions, and the pixel decoders before them."""
import math

import pytest
import torch
import torch.nn.functional as F

from mmseg.models.utils.deformable_attention import MultiScaleDeformableAttention
from mmseg.models.utils.detr_layers import (
    DeformableDetrTransformerEncoder,
    DetrTransformerDecoder,
    DetrTransformerDecoderLayer,
    DetrTransformerEncoder,
    Mask2FormerTransformerDecoderLayer,
)
from mmseg.models.utils.pixel_decoder import MSDeformAttnPixelDecoder, PixelDecoder, TransformerEncoderPixelDecoder
from mmseg.models.utils.sine_positional_encoding import SinePositionalEncoding
from mmseg.registry import MODELS
from tests.golden import fill

ATTENTION = dict(embed_dims=8, num_heads=2)
FFN = dict(embed_dims=8, feedforward_channels=16)
LAYER = dict(self_attn_cfg=ATTENTION, ffn_cfg=FFN)
DEFORMABLE = dict(num_layers=2, layer_cfg=dict(self_attn_cfg=dict(ATTENTION, num_levels=3, num_points=2), ffn_cfg=FFN))
GN = dict(type='GN', num_groups=2)
SINE = dict(num_feats=4, normalize=True)
SIZES = [(17, 25), (9, 13), (5, 7), (3, 4)]


def features(channels=(4, 6, 8, 10), batch=2):
    return [torch.randn(batch, c, *size) for c, size in zip(channels, SIZES)]


@pytest.mark.parametrize('name', ['PixelDecoder', 'TransformerEncoderPixelDecoder', 'MSDeformAttnPixelDecoder',
                                  'DetrTransformerDecoder', 'DetrTransformerEncoder', 'Mask2FormerTransformerDecoder',
                                  'SinePositionalEncoding', 'MultiScaleDeformableAttention'])
@pytest.mark.parametrize('scope', ['', 'mmdet.', 'mmseg.'])
def test_names(scope, name):
    assert MODELS.get(scope + name).__name__ == name
    assert MODELS.get(scope + name).__module__.startswith('mmseg.')


@pytest.mark.parametrize('normalize', [False, True])
def test_sine_encoding_place_by_place(normalize):
    encoding = SinePositionalEncoding(6, temperature=50, normalize=normalize, offset=0.5 * normalize)
    found = encoding(input=torch.empty(2, 1, 3, 5))
    assert found.shape == (2, 12, 3, 5)
    for y in range(3):
        for x in range(5):
            expected = []
            for place, side in ((y + 1, 3), (x + 1, 5)):
                place = (place + 0.5) / side * 2 * math.pi if normalize else place
                for i in range(3):
                    angle = place / 50**(2 * i / 6)
                    expected += [math.sin(angle), math.cos(angle)]
            torch.testing.assert_close(found[0, :, y, x], torch.tensor(expected), rtol=1e-4, atol=1e-5)


def test_padding_is_not_counted():
    encoding = SinePositionalEncoding(4, normalize=True)
    mask = torch.zeros(2, 5, 7, dtype=torch.bool)
    mask[1, 3:], mask[1, :, 4:] = True, True
    found = encoding(mask)
    torch.testing.assert_close(found[:1], encoding(input=torch.empty(1, 1, 5, 7)))
    torch.testing.assert_close(found[1:, :, :3, :4], encoding(input=torch.empty(1, 1, 3, 4)))


def deformable(**options):
    return fill(MultiScaleDeformableAttention(**dict(dict(ATTENTION, num_levels=2, num_points=3, dropout=0.),
                                                     **options)))


def deformable_inputs():
    shapes = [(3, 4), (2, 2)]
    return torch.randn(2, 5, 8), torch.randn(2, 16, 8), torch.rand(1, 5, 1, 2), shapes


def test_deformable_attention_adds_offsets_in_pixels_of_each_map():
    layer = deformable(batch_first=True)
    query, value, places, shapes = deformable_inputs()
    offsets = layer.sampling_offsets(query).view(2, 5, 2, 2, 3, 2)
    weights = layer.attention_weights(query).view(2, 5, 2, 6).softmax(-1).view(2, 5, 2, 2, 3)
    expected = torch.zeros(2, 5, 8)
    for head in range(2):
        part = slice(4 * head, 4 * head + 4)
        for level, (start, (height, width)) in enumerate(zip((0, 12), shapes)):
            area = layer.value_proj(value)[:, start:start + height * width, part].mT.reshape(2, 4, height, width)
            at = places + offsets[:, :, head, level] / torch.tensor([width, height])
            read = F.grid_sample(area, 2 * at - 1, align_corners=False)  # B c N P
            expected[..., part] += (read * weights[:, None, :, head, level]).sum(-1).mT
    options = dict(reference_points=places, spatial_shapes=shapes)
    found = layer(query, value=value, **options)
    torch.testing.assert_close(found, query + layer.output_proj(expected), rtol=1e-4, atol=1e-5)

    turned = fill(deformable())(query.transpose(0, 1), value=value.transpose(0, 1), identity=torch.zeros(5, 2, 8),
                                reference_points=places, spatial_shapes=torch.tensor(shapes))
    torch.testing.assert_close(turned.transpose(0, 1), found - query, rtol=1e-4, atol=1e-5)


def test_padding_of_maps_and_positions_of_queries():
    layer = deformable(batch_first=True)
    query, value, places, shapes = deformable_inputs()
    options = dict(reference_points=places, spatial_shapes=shapes)
    position = torch.randn(2, 5, 8)
    torch.testing.assert_close(layer(query, value=value, query_pos=position, **options) - query,
                               layer(query + position, value=value, **options) - query - position)
    everything = torch.ones(2, 16, dtype=torch.bool)
    torch.testing.assert_close(layer(query, value=value, key_padding_mask=everything, **options),
                               query + layer.output_proj.bias)


def test_deformable_attention_starts_by_looking_around():
    layer = MultiScaleDeformableAttention(embed_dims=8, num_heads=4, num_levels=2, num_points=2)
    layer.init_weights()
    places = layer.sampling_offsets.bias.view(4, 2, 2, 2)  # heads levels points xy
    assert torch.equal(places[:, 0], places[:, 1])
    torch.testing.assert_close(places[:, 0, 0], torch.tensor([[1., 0], [0, 1], [-1, 0], [0, -1]]), atol=1e-6, rtol=0)
    torch.testing.assert_close(places[:, 0, 1], 2 * places[:, 0, 0])
    assert layer.sampling_offsets.weight.abs().sum() == layer.attention_weights.weight.abs().sum() == 0


@pytest.mark.parametrize('kind', [DetrTransformerDecoderLayer, Mask2FormerTransformerDecoderLayer])
def test_decoder_layers_by_pytorchs_attention(kind):
    layer = fill(kind(**LAYER, cross_attn_cfg=ATTENTION)).eval()
    query, query_pos = torch.randn(2, 3, 8), torch.randn(2, 3, 8)
    value = torch.randn(2, 6, 8)
    key = value + torch.randn(2, 6, 8)
    seen = torch.rand(2, 1, 3, 6) > 0.3
    seen[..., 0] = True

    def attend(attn, q, k, v, hidden=None):
        q, k, v = (x.transpose(0, 1) for x in (q, k, v))
        return attn.attn(q, k, v, attn_mask=hidden)[0].transpose(0, 1)

    def cross(x):
        return x + attend(layer.cross_attn, x + query_pos, key, value, ~seen[:, 0].repeat_interleave(2, 0))

    def own(x):
        return x + attend(layer.self_attn, x + query_pos, x + query_pos, x)

    first, second = (cross, own) if kind is Mask2FormerTransformerDecoderLayer else (own, cross)
    expected = layer.norms[1](second(layer.norms[0](first(query))))
    expected = layer.norms[2](layer.ffn(expected))
    torch.testing.assert_close(layer(query, key, value, query_pos, seen), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('return_intermediate', [True, False])
def test_decoder_norms_what_every_layer_gives(return_intermediate):
    decoder = fill(DetrTransformerDecoder(2, dict(LAYER, cross_attn_cfg=ATTENTION),
                                          return_intermediate=return_intermediate)).eval()
    query, memory = torch.randn(2, 3, 8), torch.randn(2, 6, 8)
    first = decoder.layers[0](query, memory, memory, query)
    second = decoder.layers[1](first, memory, memory, query)
    expected = [decoder.post_norm(x) for x in (first, second)]
    torch.testing.assert_close(decoder(query, memory, memory, query),
                               torch.stack(expected if return_intermediate else expected[1:]))


def test_checkpointed_layers_have_the_same_gradients():
    tokens, position = torch.randn(2, 5, 8), torch.randn(2, 5, 8)
    gradients = []
    for num_cp in (-1, 2):
        encoder = fill(DetrTransformerEncoder(2, LAYER, num_cp=num_cp))
        leaf = tokens.clone().requires_grad_()
        encoder(leaf, position).square().sum().backward()
        gradients.append([leaf.grad, *(p.grad for p in encoder.parameters())])
    torch.testing.assert_close(*gradients)


def test_feature_pyramid_of_masks():
    decoder = fill(PixelDecoder((4, 6, 8, 10), 8, 12, GN)).eval()
    feats = features()
    y = decoder.last_feat_conv(feats[3])
    for i in (2, 1, 0):
        side = decoder.lateral_convs[i](feats[i])
        y = decoder.output_convs[i](side + F.interpolate(y, side.shape[2:], mode='nearest'))
    masks, memory = decoder(feats)
    torch.testing.assert_close(masks, decoder.mask_feature(y))
    assert masks.shape == (2, 12, 17, 25) and torch.equal(memory, feats[3])


def test_encoder_of_a_pixel_decoder_does_not_see_padding():
    decoder = fill(TransformerEncoderPixelDecoder((4, 6), 8, 12, GN, encoder=dict(num_layers=2, layer_cfg=LAYER),
                                                  positional_encoding=SINE)).eval()
    fine, coarse = torch.randn(1, 4, 6, 8), torch.randn(1, 6, 3, 4)
    padding = torch.zeros(1, 3, 4, dtype=torch.bool)
    padding[:, :, 3] = True
    changed = coarse.clone()
    changed[..., 3] = 9
    expected = decoder([fine, coarse[..., :3]])[1]
    torch.testing.assert_close(decoder([fine, changed], padding)[1][..., :3], expected, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(decoder([fine, changed])[1][..., :3], expected)


@pytest.mark.parametrize('levels', [1, 2, 3, 4])
def test_deformable_pixel_decoder(levels):
    encoder = dict(DEFORMABLE, layer_cfg=dict(self_attn_cfg=dict(ATTENTION, num_levels=levels), ffn_cfg=FFN))
    decoder = MSDeformAttnPixelDecoder((4, 6, 8, 10), feat_channels=8, out_channels=12, norm_cfg=GN, encoder=encoder,
                                       positional_encoding=SINE)
    decoder = fill(decoder).eval()
    masks, outs = decoder(features())
    assert masks.shape == (2, 12, *SIZES[0])
    assert [tuple(out.shape) for out in outs] == [(2, 8, *size) for size in SIZES[:0:-1]]
    masks.sum().backward()
    assert [name for name, p in decoder.named_parameters() if p.grad is None] == []


def test_every_weight_starts_as_in_the_paper():
    decoder = MSDeformAttnPixelDecoder((4, 6, 8, 10), feat_channels=8, out_channels=12, norm_cfg=GN, encoder=DEFORMABLE,
                                       positional_encoding=SINE)
    decoder.init_weights()
    attention = decoder.encoder.layers[0].self_attn
    assert attention.attention_weights.weight.abs().sum() == 0 < attention.value_proj.weight.std()
    assert decoder.mask_feature.bias.abs().sum() == 0
    assert decoder.mask_feature.weight.abs().max() <= math.sqrt(3 / 8)  # uniform after its fan-in


@pytest.mark.parametrize(('make', 'message'), [
    (lambda: SinePositionalEncoding(5), 'num_feats=5'),
    (lambda: SinePositionalEncoding(4, scale='large'), "scale must be a number, found 'large'"),
    (lambda: deformable(num_heads=3), 'embed_dims=8 cannot be shared by num_heads=3: 2 channels are left over'),
    (lambda: DetrTransformerEncoder(1, dict(LAYER, ffn_cfg=dict(FFN, embed_dims=6))),
     'ffn_cfg.embed_dims=6 must equal self_attn_cfg.embed_dims=8'),
    (lambda: DetrTransformerEncoder(1, dict(LAYER, self_attn_cfg=dict(ATTENTION, batch_first=False))), 'batch_first'),
    (lambda: DetrTransformerEncoder(3, [LAYER] * 2), 'num_layers=3 needs as many layer_cfg, found 2'),
    (lambda: DetrTransformerEncoder(1, LAYER, num_cp=2), 'num_cp=2 is more than num_layers=1'),
    (lambda: MSDeformAttnPixelDecoder((4, 6), feat_channels=8, encoder=DEFORMABLE), 'num_levels=3 of the encoder'),
    (lambda: MSDeformAttnPixelDecoder((4, 6, 8), feat_channels=8, num_outs=4, encoder=DEFORMABLE), 'num_outs=4'),
    (lambda: MSDeformAttnPixelDecoder((4, 6, 8), feat_channels=16, encoder=DEFORMABLE),
     'embed_dims=8 of the encoder must equal feat_channels=16')])
def test_options_that_do_not_fit_are_named(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()


def test_only_points_can_be_referred_to():
    query, value, places, shapes = deformable_inputs()
    with pytest.raises(ValueError, match='must be x and y'):
        deformable(batch_first=True)(query, value=value, reference_points=places.repeat(1, 1, 1, 2),
                                     spatial_shapes=shapes)


def test_encoder_of_several_maps_survives_mixed_precision():
    encoder = fill(DeformableDetrTransformerEncoder(**DEFORMABLE)).eval()
    shapes = SIZES[:0:-1]
    tokens = torch.randn(1, sum(h * w for h, w in shapes), 8)
    options = dict(reference_points=torch.rand(1, tokens.shape[1], 1, 2), spatial_shapes=shapes)
    exact = encoder(tokens, tokens, **options)
    with torch.autocast('cpu', torch.bfloat16):
        rough = encoder(tokens, tokens, **options)
    assert 0 < (rough - exact).abs().mean() < 0.05 * exact.std()
