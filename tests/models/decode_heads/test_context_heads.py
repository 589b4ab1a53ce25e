"""The heads that let every place see its surroundings: what each of their blocks computes, beside its definition."""
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmcv.cnn import NonLocal2d
from torch import nn

from mmseg.models.decode_heads.ann_head import PPMConcat
from mmseg.models.decode_heads.apc_head import ACM
from mmseg.models.decode_heads.cc_head import CrissCrossAttention
from mmseg.models.decode_heads.da_head import CAM, PAM
from mmseg.models.decode_heads.dm_head import DCM
from mmseg.models.decode_heads.dnl_head import DisentangledNonLocal2d
from mmseg.models.decode_heads.ema_head import EMAModule, reduce_mean
from mmseg.models.decode_heads.nl_head import FusedNonLocal2d
from mmseg.models.decode_heads.ocr_head import SpatialGatherModule
from mmseg.ops import psa_mask
from mmseg.registry import MODELS
from tests.golden import facts, fill, image, samples
from tests.models.networks import BN, CHANNELS, HEADS

PLAIN = dict(conv_cfg=None, norm_cfg=BN, act_cfg=dict(type='ReLU'))


def build(name, **options):
    return fill(MODELS.build(dict(type=name, **{**HEADS[name], **options}))).eval()


def features(height, width, batch=1):
    """Features of one size, as a dilated backbone gives them."""
    return [image(height, width, batch, channels, seed=channels) for channels in CHANNELS]


def logits_of(head, inputs):
    """What a head makes of features; one that refines logits gets some."""
    arguments = [image(*inputs[0].shape[2:], len(inputs[0]), 5)] if type(head).__name__ == 'OCRHead' else []
    with torch.no_grad():
        out = head(inputs, *arguments)
    return out[0] if isinstance(out, tuple) else out


@pytest.mark.parametrize('name', facts('context_heads.json'))
def test_logits_are_those_of_the_day_when_whole_networks_agreed(name):
    """`context_heads.json` was recorded when the zoo's networks with these heads gave the published logits."""
    fact = facts('context_heads.json')[name]
    out = logits_of(fill(MODELS.build(fact['config'])).eval(), features(*fact['size']))
    assert np.abs(samples(out, len(fact['samples'])) - fact['samples']).max() < 2e-4 * fact['std']


@pytest.mark.parametrize('recurrence, seen', [(1, 4 + 6 - 1), (2, 24)])
def test_after_two_crosses_every_place_has_been_seen(recurrence, seen):
    head = build('CCHead', recurrence=recurrence)
    x = image(4, 6, 1, 8).requires_grad_()
    head.context(x)[0, :, 1, 2].sum().backward()
    assert (x.grad.abs().sum((0, 1)) > 0).sum() == seen


def test_criss_cross_attention_starts_as_the_identity():
    x = image(4, 6, 1, 16)
    assert torch.equal(CrissCrossAttention(16)(x), x)


@pytest.mark.parametrize('options', [
    dict(), dict(pooling_type='avg'), dict(fusion_types=('channel_add', 'channel_mul'))])
def test_global_context_is_one_for_all_places(options):
    block = build('GCHead', **options).gc_block
    block.channel_mul_conv = None
    x = image(5, 7, 2, block.in_channels)
    added = block(x) - x
    torch.testing.assert_close(added, added[..., :1, :1].expand_as(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('name', ['NLHead', 'DNLHead'])
def test_modes_of_non_local_blocks(name):
    outs = []
    for mode in ('embedded_gaussian', 'gaussian', 'dot_product', 'concatenation'):
        head = build(name, mode=mode, reduction=1)
        outs.append(logits_of(head, features(5, 7)))
    assert all(out.shape == (1, 5, 5, 7) and out.isfinite().all() for out in outs)
    assert len({round(out.std().item(), 5) for out in outs}) == 4


@pytest.mark.parametrize('mode', ['embedded_gaussian', 'gaussian', 'dot_product', 'concatenation'])
@pytest.mark.parametrize('use_scale', [True, False])
def test_non_local_block_is_that_of_mmcv(mode, use_scale):
    options = dict(reduction=2, use_scale=use_scale, mode=mode, norm_cfg=BN)
    ours, theirs = (fill(block(8, **options)).eval() for block in (FusedNonLocal2d, NonLocal2d))
    x = image(5, 7, 2, 8)
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('use_scale', [True, False])
def test_disentangled_non_local_block(use_scale):
    block = fill(DisentangledNonLocal2d(8, temperature=0.5, reduction=2, use_scale=use_scale, mode='embedded_gaussian',
                                        conv_cfg=None, norm_cfg=BN)).eval()
    x = image(3, 5, 2, 8)
    query, key, value = (layer(x).flatten(2) for layer in (block.theta, block.phi, block.g))
    query, key = query - query.mean(2, keepdim=True), key - key.mean(2, keepdim=True)
    product = torch.einsum('bci,bcj->bij', query, key) / (0.5 * (2 if use_scale else 1))
    weight = product.softmax(2) + block.conv_mask(x).flatten(2).softmax(2)
    context = torch.einsum('bij,bcj->bci', weight, value).view(2, 4, 3, 5)
    torch.testing.assert_close(block(x), x + block.conv_out(context), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(block.embedded_gaussian(query.transpose(1, 2), key), product.softmax(2))


def test_position_and_channel_attention():
    x = image(3, 5, 2, 8)
    position, channel = fill(PAM(8, 4)).eval(), fill(CAM())
    flat = x.flatten(2)
    q, k, v = (layer(x).flatten(2) for layer in
               (position.query_project, position.key_project, position.value_project))
    gathered = v @ (q.transpose(1, 2) @ k).softmax(2).transpose(1, 2)
    torch.testing.assert_close(position(x), x + position.gamma.scale * gathered.view_as(x), rtol=1e-4, atol=1e-5)
    energy = flat @ flat.transpose(1, 2)
    gathered = (-energy).softmax(2) @ flat  # a channel takes most from those that it is least like
    torch.testing.assert_close(channel(x), x + channel.gamma.scale * gathered.view_as(x), rtol=1e-4, atol=1e-5)


def test_dual_attention_predicts_by_the_sum():
    head, inputs = build('DAHead'), features(5, 7)
    both, position, channel = head(inputs)
    assert both.shape == position.shape == channel.shape == (1, 5, 5, 7)
    metas = [dict(img_shape=(5, 7))]
    assert torch.equal(head.predict(inputs, metas, {}), both)


@pytest.mark.parametrize('way', ['collect', 'distribute'])
@pytest.mark.parametrize('softmax', [True, False])
def test_compact_attention_says_the_same_of_absolute_places(way, softmax):
    """A mask around each place, large enough, holds what a map of all places does."""
    height, width = 3, 4
    around = build('PSAHead', psa_type=way, shrink_factor=1, psa_softmax=softmax, normalization_factor=2.,
                   mask_size=(2 * height - 1, 2 * width - 1))
    absolute = build('PSAHead', psa_type=way, shrink_factor=1, psa_softmax=softmax, normalization_factor=2.,
                     mask_size=(height, width), compact=True)
    mask = image(height, width, 1, (2 * height - 1) * (2 * width - 1))
    whole = psa_mask(mask, around.mask_size).view(1, height * width, height, width)
    outs = []
    for head, weight in ((around, mask), (absolute, whole)):
        head.attention.forward = lambda x, weight=weight: weight
        head.load_state_dict({k: v for k, v in around.state_dict().items() if 'attention' not in k}, strict=False)
        outs.append(head._gather(head.reduce, head.attention, way, features(3, 4)[0], (3, 4), False))
    torch.testing.assert_close(*outs)
    weight = whole.flatten(2) if way == 'collect' else whole.flatten(2).transpose(1, 2)
    weight = weight.softmax(1) if softmax else weight
    expected = around.reduce(features(3, 4)[0]).flatten(2) @ weight / 2
    torch.testing.assert_close(outs[0].flatten(2), expected)


@pytest.mark.parametrize('psa_type', ['collect', 'distribute', 'bi-direction'])
@pytest.mark.parametrize('size', [(4, 6), (5, 7), (4, 7), (1, 3)])
def test_point_wise_attention_of_all_kinds(psa_type, size):
    out = logits_of(build('PSAHead', psa_type=psa_type), features(*size))
    assert out.shape == (1, 5, *size) and out.isfinite().all()


def test_wrong_point_wise_attention_is_refused():
    with pytest.raises(ValueError, match="'bi-direction', found 'both'"):
        build('PSAHead', psa_type='both')
    head = build('PSAHead', compact=True, mask_size=(4, 4))
    with pytest.raises(ValueError, match=r'mask_size \(4, 4\) needs a feature of that size after shrinking by 2, '
                                         r'found \(3, 4\)'):
        head(features(6, 8))
    assert head(features(8, 8)).shape == (1, 5, 8, 8)


def test_pooled_keys_are_the_means_of_all_grids():
    x = image(6, 8, 2, 3)
    keys = PPMConcat((1, 2))(x)
    assert keys.shape == (2, 3, 5)
    torch.testing.assert_close(keys[..., 0], x.mean((2, 3)))
    torch.testing.assert_close(keys[..., 4], x[:, :, 3:, 4:].mean((2, 3)))


@pytest.mark.parametrize('scales', [(1,), (2,), (1, 2, 4)])
def test_asymmetric_attention_with_pooled_queries(scales):
    assert logits_of(build('ANNHead', query_scales=scales), features(5, 7)).shape == (1, 5, 5, 7)


def test_fusion_needs_two_features():
    with pytest.raises(ValueError, match=r'in_channels=\[16\] must list two'):
        build('ANNHead', in_channels=[16], in_index=[3])


def test_adaptive_context_weighs_the_cells_for_each_place():
    module = fill(ACM(2, False, 6, 4, **PLAIN)).eval()
    x = image(4, 6, 2, 6)
    cells = module.pooled_redu_conv(F.adaptive_avg_pool2d(x, 2)).flatten(2)  # B C 4
    y = module.input_redu_conv(x)
    affinity = module.gla(y + module.global_info(y.mean((2, 3), keepdim=True))).sigmoid()
    context = sum(cells[:, :, i, None, None] * affinity[:, i, None] for i in range(4))
    torch.testing.assert_close(module(x), (module.residual_conv(context) + y).relu(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('size', [1, 2, 3, 4])
def test_dynamic_convolution_filters_each_image_with_its_own_kernels(size):
    module = fill(DCM(size, False, 6, 4, **PLAIN)).eval()
    x = image(5, 7, 2, 6)
    kernels = module.filter_gen_conv(F.adaptive_avg_pool2d(x, size))
    y = F.pad(module.input_redu_conv(x), (size // 2, (size - 1) // 2) * 2)
    expected = torch.zeros(2, 4, 5, 7)
    for row in range(5):
        for column in range(7):
            expected[..., row, column] = (y[:, :, row:row + size, column:column + size] * kernels).sum((2, 3))
    torch.testing.assert_close(module(x), module.norm(expected).relu(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('name', ['APCHead', 'DMHead'])
def test_fusion_adds_a_convolution(name):
    plain, fused = (build(name, fusion=flag) for flag in (False, True))
    added = set(fused.state_dict()) - set(plain.state_dict())
    assert len(added) == 3 * 6 and all('.fusion_conv.' in key for key in added)
    assert logits_of(fused, features(5, 7)).shape == (1, 5, 5, 7)


def test_bases_are_fitted_by_expectation_and_maximisation():
    module = fill(EMAModule(6, 3, 2, momentum=0.25))
    x, bases = image(4, 5, 2, 6), module.bases.expand(2, -1, -1)
    flat = x.flatten(2).transpose(1, 2)  # B N C
    for _ in range(2):
        share = (flat @ bases).softmax(2)
        bases = torch.einsum('bnc,bnk->bck', flat, share / share.sum(1, keepdim=True))
        bases = bases / bases.norm(dim=1, keepdim=True)
    expected = torch.einsum('bck,bnk->bcn', bases, share).view_as(x)
    before = module.bases.clone()
    torch.testing.assert_close(module.eval()(x), expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(module.bases, before)
    module.train()(x)
    mean = F.normalize(bases.mean(0, keepdim=True), dim=1)
    torch.testing.assert_close(module.bases, 0.75 * before + 0.25 * mean)


def test_fresh_bases_have_length_one():
    torch.testing.assert_close(EMAModule(6, 3, 2, 0.1).bases.norm(dim=1), torch.ones(1, 3))
    assert reduce_mean(torch.tensor(3.)) == 3
    with pytest.raises(ValueError, match='at least 1, found 0'):
        EMAModule(6, 3, 0, 0.1)


@pytest.mark.parametrize('concat', [True, False])
def test_nothing_learns_through_the_bases(concat):
    head = build('EMAHead', concat_input=concat).train()
    head(features(5, 7, 2)).sum().backward()
    assert [key for key, p in head.named_parameters() if p.grad is None] == [
        'ema_mid_conv.conv.weight', 'ema_mid_conv.conv.bias']


@pytest.mark.parametrize('options', [dict(), dict(add_lateral=False), dict(use_se_loss=False)])
def test_encoding_head(options):
    head, inputs = build('EncHead', **options), features(5, 7)
    out = head(inputs)
    logits, of_image = out if options.get('use_se_loss', True) else (out, None)
    assert logits.shape == (1, 5, 5, 7) and (of_image is None or of_image.shape == (1, 5))
    assert torch.equal(head.predict(inputs, [dict(img_shape=(5, 7))], {}), logits)


def test_classes_present_in_an_image():
    labels = torch.tensor([[[[0, 3], [3, 255]]], [[[255, 255], [4, 4]]]])
    present = build('EncHead')._classes_present(labels, torch.zeros(1))
    assert present.tolist() == [[1, 0, 0, 1, 0], [0, 0, 0, 0, 1]]


@pytest.mark.parametrize('size, factor', [((4, 6), (2, 3)), ((5, 7), (4, 4)), ((3, 3), (8, 8))])
def test_interlaced_attention_puts_every_place_back(size, factor):
    head = build('ISAHead', down_factor=factor)
    head.global_relation, head.local_relation = nn.Identity(), nn.Identity()
    head.out_conv = nn.Identity()
    head.cls_seg = lambda x: x
    x = head.in_conv(features(*size)[3])
    torch.testing.assert_close(head(features(*size)), torch.cat([x, x], dim=1))


def test_interlaced_attention_is_far_then_near():
    head = build('ISAHead', down_factor=(2, 3))
    seen = {}
    for name in ('global_relation', 'local_relation'):
        getattr(head, name).register_forward_hook(lambda m, inputs, out, name=name: seen.update({name: inputs[0]}))
    inputs = features(4, 9)
    head(inputs)
    x = head.in_conv(inputs[3])
    torch.testing.assert_close(seen['global_relation'][0], x[0, :, ::2, ::3])
    assert seen['local_relation'].shape == (6, 8, 2, 3)


def test_regions_are_means_weighed_by_their_probability():
    feature, logits = image(3, 4, 2, 6), image(3, 4, 2, 5, seed=1)
    weight = (2. * logits).flatten(2).softmax(2)
    expected = torch.einsum('bcn,bkn->bck', feature.flatten(2), weight)
    torch.testing.assert_close(SpatialGatherModule(2.)(feature, logits)[..., 0], expected)


@pytest.mark.parametrize('scale', [1, 2, 3])
def test_object_context_with_pooled_queries(scale):
    assert logits_of(build('OCRHead', scale=scale), features(5, 7)).shape == (1, 5, 5, 7)


@pytest.mark.parametrize('name', ['NLHead', 'GCHead', 'CCHead', 'DNLHead'])
@pytest.mark.parametrize('concat', [True, False])
def test_input_may_be_left_out_of_the_last_convolution(name, concat):
    head = build(name, concat_input=concat)
    assert hasattr(head, 'conv_cat') is concat
    assert logits_of(head, features(5, 7)).shape == (1, 5, 5, 7)


FAMILY = ['ANNHead', 'APCHead', 'CCHead', 'DAHead', 'DMHead', 'DNLHead', 'EMAHead', 'EncHead', 'GCHead', 'ISAHead',
          'NLHead', 'OCRHead', 'PSAHead']


@pytest.mark.parametrize('name', FAMILY)
def test_mixed_precision_and_channels_last(name):
    head, inputs = build(name), features(8, 12)
    expected = logits_of(head, inputs)
    with torch.autocast('cpu', torch.bfloat16):
        rough = logits_of(head, inputs)
    assert (rough.float() - expected).abs().mean() < 0.1 * expected.std()
    head.to(memory_format=torch.channels_last)
    same = logits_of(head, [x.to(memory_format=torch.channels_last) for x in inputs])
    torch.testing.assert_close(same, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize('name', FAMILY)
def test_compiled_as_one_graph(name):
    head, inputs = build(name), features(8, 12)
    expected = logits_of(head, inputs)
    arguments = [image(8, 12, 1, 5)] if name == 'OCRHead' else []
    with torch.no_grad():
        out = torch.compile(head, backend='eager', fullgraph=True)(inputs, *arguments)
    torch.testing.assert_close(out[0] if isinstance(out, tuple) else out, expected, rtol=1e-3, atol=1e-4)
