"""Fast-SCNN, BiSeNet V1 and V2, STDC, ERFNet and ICNet."""
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmseg.models.backbones import bisenetv1, bisenetv2, erfnet, fast_scnn, stdc
from mmseg.registry import MODELS
from tests.golden import fill, image

RESNET = dict(type='ResNet', depth=18, base_channels=4, stem_channels=4)
STDC = dict(type='STDCNet', stdc_type='STDCNet1', in_channels=3, channels=(4, 8, 16, 32, 64), bottleneck_type='cat',
            norm_cfg=dict(type='BN'), act_cfg=dict(type='ReLU'))
NETWORKS = {
    'Fast-SCNN': dict(type='FastSCNN', downsample_dw_channels=(4, 6), global_in_channels=8,
                      global_block_channels=(8, 12, 16), global_out_channels=10, higher_in_channels=8,
                      lower_in_channels=10, fusion_out_channels=20),
    'BiSeNet V1': dict(type='BiSeNetV1', backbone_cfg=RESNET, spatial_channels=(4, 4, 4, 8),
                       context_channels=(8, 16, 32), out_channels=12),
    'BiSeNet V2': dict(type='BiSeNetV2', detail_channels=(4, 4, 16), semantic_channels=(4, 8, 12, 16),
                       semantic_expansion_ratio=2, bga_channels=16),
    'STDC': STDC,
    'STDC2 that adds': dict(STDC, stdc_type='STDCNet2', bottleneck_type='add', with_final_conv=True),
    'STDC context': dict(type='STDCContextPathNet', backbone_cfg=STDC, last_in_channels=(64, 32), out_channels=12,
                         ffm_cfg=dict(in_channels=28, out_channels=8)),
    'ERFNet': dict(type='ERFNet', enc_downsample_channels=(4, 8, 16), enc_stage_non_bottlenecks=(1, 3),
                   enc_non_bottleneck_dilations=(2, 4), enc_non_bottleneck_channels=(8, 16),
                   dec_upsample_channels=(8, 4), dec_stages_non_bottleneck=(1, 1), dec_non_bottleneck_channels=(8, 4)),
    'ICNet': dict(type='ICNet', backbone_cfg=dict(RESNET, strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4)),
                  layer_channels=(8, 32), light_branch_middle_channels=4, psp_out_channels=8, out_channels=(4, 6, 8)),
}
FEATURES = {  # channels and strides
    'Fast-SCNN': ((8, 10, 20), (8, 32, 8)),
    'BiSeNet V1': ((12, 8, 8), (8, 8, 16)),
    'BiSeNet V2': ((16, 4, 8, 12, 16), (8, 4, 8, 16, 32)),
    'STDC': ((16, 32, 64), (8, 16, 32)),
    'STDC2 that adds': ((16, 32, 1024), (8, 16, 32)),
    'STDC context': ((16, 12, 12, 8), (8, 16, 8, 8)),
    'ERFNet': ((4,), (2,)),
}


def build(name, **options):
    return fill(MODELS.build(dict(NETWORKS[name], **options)))


@pytest.mark.parametrize('size', [(65, 97), (64, 96), (1, 3)])
@pytest.mark.parametrize('name', FEATURES)
@torch.no_grad()
def test_features_have_the_published_channels_and_strides(name, size):
    channels, strides = FEATURES[name]
    model = build(name).eval()
    features = model(image(*size))
    assert (model.out_channels, model.out_strides) == (channels, strides)
    assert [tuple(f.shape) for f in features] == [
        (1, c, *(math.ceil(side / s) for side in size)) for c, s in zip(channels, strides)]
    assert all(f.isfinite().all() and f.std() > 0 for f in features)


@pytest.mark.parametrize('size, sizes', [
    ((128, 192), [(16, 24), (9, 13), (4, 6)]), ((65, 97), [(9, 13), (5, 7), (2, 3)]),
    ((14, 14), [(2, 2), (2, 2), (1, 1)])])
@torch.no_grad()
def test_icnet_halves_down_and_pools_up(size, sizes):
    model = build('ICNet').eval()
    features = model(image(*size))
    assert [tuple(f.shape[1:]) for f in features] == [(c, *s) for c, s in zip(model.out_channels, sizes)]
    with pytest.raises(ValueError, match='at least 14 x 14 pixels, found 13 x 64'):
        model(image(13, 64))


@pytest.mark.parametrize('name', NETWORKS)
def test_gradient_reaches_every_parameter(name):
    model = build(name).eval()  # statistics of a batch take away what BiSeNet V2 adds before them in its context
    sum(feature.square().mean() for feature in model(image(64, 96, batch=2))).backward()
    assert [key for key, p in model.named_parameters() if p.grad is None or p.grad.abs().sum() == 0] == []


@pytest.mark.parametrize('name', NETWORKS)
@torch.no_grad()
def test_memory_layout_and_mixed_precision(name):
    model, x = build(name).eval(), image(64, 96)
    features = model(x)
    with torch.autocast('cpu', torch.bfloat16):
        rounded = model(x)
    model = model.to(memory_format=torch.channels_last)
    torch.testing.assert_close(model(x.to(memory_format=torch.channels_last)), features, rtol=1e-3, atol=1e-4)
    for ours, exact in zip(rounded, features):
        assert (ours - exact).abs().mean() < 0.1 * exact.abs().mean()


@pytest.mark.parametrize('name', ['Fast-SCNN', 'BiSeNet V1', 'BiSeNet V2', 'ERFNet', 'ICNet'])
def test_norm_cfg_reaches_every_normalisation(name):
    model = build(name, norm_cfg=dict(type='BN', eps=0.5))
    assert {m.eps for key, m in model.named_modules()
            if isinstance(m, nn.BatchNorm2d) and '.backbone.' not in f'.{key}'} == {0.5}


@pytest.mark.parametrize('name, index', [('Fast-SCNN', 1), ('BiSeNet V2', 0), ('ICNet', 2)])
@torch.no_grad()
def test_align_corners_reaches_the_resizing(name, index):
    apart, aligned = (build(name, align_corners=align).eval()(image(65, 97))[index] for align in (False, True))
    assert (apart - aligned).abs().max() > 1e-3


@pytest.mark.parametrize('name', ['Fast-SCNN', 'BiSeNet V1', 'BiSeNet V2'])
@torch.no_grad()
def test_out_indices_choose(name):
    features = build(name).eval()(image(32, 48))
    model = build(name, out_indices=(2, 0)).eval()
    torch.testing.assert_close(model(image(32, 48)), (features[2], features[0]))
    assert model.out_channels == (features[2].shape[1], features[0].shape[1])


def test_fast_scnn_activations():
    plain, active = build('Fast-SCNN'), build('Fast-SCNN', dw_act_cfg=dict(type='ReLU'))
    assert not plain.learning_to_downsample.dsconv1.depthwise_conv.with_activation
    assert active.learning_to_downsample.dsconv1.depthwise_conv.with_activation
    assert {type(m) for m in plain.modules() if 'ReLU' in type(m).__name__} == {nn.ReLU}  # none that ends at 6


def test_fast_scnn_starts_at_random():
    model = build('Fast-SCNN')
    model.init_weights()
    conv = model.global_feature_extractor.out
    assert conv.bn.weight.eq(1).all() and conv.bn.bias.eq(0).all()
    assert abs(conv.conv.weight.std() - (2 / (10 * 9))**0.5) < 0.02  # Kaiming, from the output channels


def test_icnet_takes_the_weights_of_its_resnet(tmp_path):
    donor = fill(MODELS.build(NETWORKS['ICNet']['backbone_cfg']))
    torch.save(donor.state_dict(), tmp_path / 'donor.pth')
    pretrained = dict(type='Pretrained', checkpoint=str(tmp_path / 'donor.pth'))
    model = MODELS.build(dict(NETWORKS['ICNet'], backbone_cfg=dict(
        NETWORKS['ICNet']['backbone_cfg'], init_cfg=pretrained)))
    model.init_weights()
    torch.testing.assert_close(model.backbone.state_dict(), donor.state_dict())


@pytest.mark.parametrize('deep', ['ResNetV1c', 'ResNet'])
@torch.no_grad()
def test_icnet_runs_its_resnet_in_two_halves(deep):
    model = build('ICNet', backbone_cfg=dict(NETWORKS['ICNet']['backbone_cfg'], type=deep)).eval()
    x = image(64, 96)
    half = model.backbone(F.interpolate(x, scale_factor=0.5, mode='bilinear'))[1]
    torch.testing.assert_close(model(x)[1], model.conv_sub2(half))


@pytest.mark.parametrize('module', [bisenetv1, stdc])
@torch.no_grad()
def test_fusion_adds_a_gated_copy(module):
    ffm = fill(module.FeatureFusionModule(8, 6)) if module is bisenetv1 else fill(
        module.FeatureFusionModule(8, 6, scale_factor=2))
    first, second = image(5, 7, channels=3), image(5, 7, channels=5, seed=1)
    ratio = ffm.eval()(first, second) / (ffm.conv1 if module is bisenetv1 else ffm.conv0)(torch.cat([first, second], 1))
    gate = ratio.nan_to_num(0).amax((2, 3))  # 0 / 0 where the feature is 0
    assert ((gate == 0) | ((gate > 1) & (gate < 2))).all() and (gate > 0).any()
    torch.testing.assert_close(ratio.nan_to_num(0), gate[..., None, None] * ~ratio.isnan())


@torch.no_grad()
def test_refinement_scales_channels():
    arm = fill(bisenetv1.AttentionRefinementModule(4, 6)).eval()
    x = image(5, 7, channels=4)
    feature = arm.conv_layer(x)
    gate = arm.atten_conv_layer[1](feature.mean((2, 3), keepdim=True)).sigmoid()
    torch.testing.assert_close(arm(x), feature * gate)


@pytest.mark.parametrize('stride', [1, 2])
@torch.no_grad()
def test_stdc_modules_join_ever_narrower_results(stride):
    x = image(9, 13, channels=16)
    options = dict(norm_cfg=dict(type='BN'), act_cfg=dict(type='ReLU'))
    added, joined = (fill(stdc.STDCModule(16, 16, stride, fusion_type=kind, **options)).eval()
                     for kind in ('add', 'cat'))
    assert [layer.conv.out_channels for layer in added.layers] == [8, 4, 2, 2]
    first = added.layers[0](x)
    reduced = added.downsample(first) if stride == 2 else first
    second = added.layers[1](reduced)
    third = added.layers[2](second)
    others = [second, third, added.layers[3](third)]
    shortcut = added.skip(x) if stride == 2 else x
    mean = F.avg_pool2d(first, 3, 2, 1) if stride == 2 else first
    torch.testing.assert_close(added(x), torch.cat([reduced, *others], 1) + shortcut)
    torch.testing.assert_close(joined(x), torch.cat([mean, *others], 1))


@torch.no_grad()
def test_stdc_context_comes_down_from_the_mean():
    model = build('STDC context').eval()
    x8, x16, x32 = model.backbone(image(65, 97))
    context32 = model.arms[0](x32) + model.conv_avg(x32.mean((2, 3), keepdim=True))
    context16 = model.convs[0](F.interpolate(context32, x16.shape[2:]))
    context8 = model.convs[1](F.interpolate(model.arms[1](x16) + context16, x8.shape[2:]))
    torch.testing.assert_close(model(image(65, 97)), (x8, context16, context8, model.ffm(x8, context8)))


def test_erfnet_blocks():
    model = build('ERFNet')
    assert [block.convs_layers[5].dilation[0] for block in model.encoder[4:]] == [2, 4, 2]
    assert [type(layer) for layer in model.encoder[4].convs_layers[4::5]] == [nn.ReLU, nn.Dropout]
    assert {m.p for m in model.encoder.modules() if isinstance(m, nn.Dropout)} == {0.1}
    assert {m.p for m in model.decoder.modules() if isinstance(m, nn.Dropout)} == {0}
    assert {m.eps for m in model.modules() if isinstance(m, nn.BatchNorm2d)} == {1e-3}
    x = image(5, 7, channels=2)
    block = fill(erfnet.DownsamplerBlock(2, 5)).eval()
    torch.testing.assert_close(block(x), block.bn(torch.cat([
        block.conv(x), F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=-math.inf), 2)], 1)).relu())


@torch.no_grad()
def test_erfnet_cuts_off_what_an_odd_size_was_rounded_up_by():
    model = build('ERFNet').eval()
    x = image(65, 97)
    for layer in (*model.encoder, *model.decoder):
        x = layer(x)
    assert x.shape == (1, 4, 36, 52)
    torch.testing.assert_close(model(image(65, 97))[0], x[..., :33, :49])


@torch.no_grad()
def test_bisenetv2_context_and_guidance():
    context = fill(bisenetv2.CEBlock(6, 6)).eval()
    x = image(5, 7, channels=6)
    mean = context.gap[1](x.mean((2, 3), keepdim=True))
    torch.testing.assert_close(context(x), context.conv_last(x + context.conv_gap(mean)))
    with pytest.raises(ValueError, match=r'out_channels \(16\) and cannot be added to an input of in_channels \(3\)'):
        bisenetv2.CEBlock()(image(5, 7))

    guided = fill(bisenetv2.BGALayer(6)).eval()
    fine, coarse = image(17, 25, channels=6), image(5, 7, channels=6, seed=1)
    gates = [guided.semantic_conv(coarse), guided.semantic_dwconv(coarse)]
    for conv in (guided.semantic_conv[0], guided.semantic_dwconv[0].pointwise_conv):  # gates that are closed
        conv.conv.weight.zero_()
        (conv.bn if conv.with_norm else conv.conv).bias.fill_(-100)
        if conv.with_norm:
            conv.bn.running_mean.zero_()
    assert all(gate.abs().max() > 0.1 for gate in gates)
    torch.testing.assert_close(guided(fine, coarse), guided.conv(torch.zeros(1, 6, 17, 25)))


@pytest.mark.parametrize('name, options, words', [
    ('Fast-SCNN', dict(higher_in_channels=9), r'higher_in_channels \(9\) must equal global_in_channels \(8\)'),
    ('Fast-SCNN', dict(lower_in_channels=9), r'lower_in_channels \(9\) must equal global_out_channels \(10\)'),
    ('Fast-SCNN', dict(global_block_strides=(2, 2)), r'three stages, found .* strides=\(2, 2\)'),
    ('BiSeNet V1', dict(spatial_channels=(4, 8)), r'4 layers, found num_channels=\(4, 8\)'),
    ('BiSeNet V1', dict(context_channels=(8, 16)), r'found 2: \(8, 16\)'),
    ('BiSeNet V2', dict(bga_channels=8), r'end with bga_channels \(8\), found detail_channels=\(4, 4, 16\)'),
    ('BiSeNet V2', dict(detail_channels=(4, 16)), 'found 4 semantic_channels and 2 detail_channels'),
    ('STDC', dict(bottleneck_type='mul'), "'add' or 'cat', found 'mul'"),
    ('STDC', dict(num_convs=1), 'at least 2, found 2 and 1'),
    ('STDC', dict(num_convs=6), '6 convolutions need out_channels divisible by 32, found 16'),
    ('STDC', dict(channels=(4, 8)), r'2 convolutions and 3 stages, found 2: \(4, 8\)'),
    ('STDC', dict(pretrained='a.pth', init_cfg=dict(type='Pretrained', checkpoint='b.pth')), 'keep one'),
    ('STDC context', dict(last_in_channels=(32, 64)), r'those of the backbone, \(64, 32\): found \(32, 64\)'),
    ('STDC context', dict(out_channels=10), r'in_channels=26, the 16 of the backbone and .* \(10\) .*: found 28'),
    ('ERFNet', dict(dec_upsample_channels=(8, 4, 2)), '3 enc_downsample_channels need one less of .* found 2, 3 and 2'),
    ('ERFNet', dict(enc_non_bottleneck_channels=(8, 8)), r'enc_downsample_channels\[1:\], \(8, 16\): found \(8, 8\)'),
    ('ERFNet', dict(enc_downsample_channels=(4, 8, 8), enc_non_bottleneck_channels=(8, 8)),
     r'out_channels \(8\) must exceed in_channels \(8\)'),
    ('ICNet', dict(out_channels=(4, 6)), r'2 layer_channels and 3 out_channels, found \(8, 32\) and \(4, 6\)'),
])
def test_what_does_not_fit_is_told(name, options, words):
    with pytest.raises(ValueError, match=words):
        build(name, **options)


def test_parts_that_do_not_fit_are_told():
    with pytest.raises(KeyError, match='STDCNet1, STDCNet2, found'):
        build('STDC', stdc_type='STDCNet3')
    with pytest.raises(ValueError, match=r'in_channels \(8\) needs out_channels as many, found 16'):
        stdc.STDCModule(8, 16, 1)
    with pytest.raises(ValueError, match='found stride 1, 8 -> 16 channels'):
        bisenetv2.GELayer(8, 16)
    assert fast_scnn.FeatureFusionModule(4, 6, 9).dwconv.conv.groups == 3
