"""The heads that stand on a convolutional backbone: FCN, PSPNet, DeepLabV3 and V3+, UPerNet, Semantic FPN."""
import pytest
import torch
import torch.nn.functional as F
from mmcv.cnn import DepthwiseSeparableConvModule

from mmseg.registry import MODELS
from tests.golden import fill, image

CHANNELS = (4, 8, 12, 16)
BASE = dict(channels=6, num_classes=5, norm_cfg=dict(type='BN'))
ONE = dict(BASE, in_channels=16, in_index=3)
ALL = dict(BASE, in_channels=CHANNELS, in_index=[0, 1, 2, 3])
HEADS = {
    'FCN': dict(ONE, type='FCNHead', dilation=2),
    'FCN of all features': dict(ALL, type='FCNHead', input_transform='resize_concat', kernel_size=1),
    'FCN without convolutions': dict(ONE, type='FCNHead', channels=16, num_convs=0, concat_input=False),
    'separable FCN': dict(ONE, type='DepthwiseSeparableFCNHead'),
    'PSP': dict(ONE, type='PSPHead', pool_scales=(1, 2, 3)),
    'ASPP': dict(ONE, type='ASPPHead', dilations=(1, 2, 3)),
    'separable ASPP': dict(ONE, type='DepthwiseSeparableASPPHead', c1_in_channels=4, c1_channels=3, dilations=(1, 2)),
    'separable ASPP alone': dict(ONE, type='DepthwiseSeparableASPPHead', c1_in_channels=0, c1_channels=3),
    'UPer': dict(ALL, type='UPerHead', pool_scales=(1, 2)),
    'FPN': dict(ALL, type='FPNHead', feature_strides=[4, 8, 16, 32]),
}
STRIDE = {'FCN of all features': 4, 'separable ASPP': 4, 'UPer': 4, 'FPN': 4}


def build(name, **options):
    return fill(MODELS.build(dict(HEADS[name], **options)))


def features(height, width, batch):
    """What a backbone of the strides 4, 8, 16 and 32 gives; each size rounded up."""
    return [image(-(-height // s), -(-width // s), batch, c, seed=c) for s, c in zip((4, 8, 16, 32), CHANNELS)]


@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize('name', HEADS)
def test_logits_of_an_odd_size_and_a_single_image(name, align_corners):
    with torch.no_grad():
        logits = build(name, align_corners=align_corners).eval()(features(65, 97, 1))
    stride = STRIDE.get(name, 32)
    assert logits.shape == (1, 5, -(-65 // stride), -(-97 // stride))
    assert logits.isfinite().all() and logits.std() > 0


@pytest.mark.parametrize('name', HEADS)
def test_gradient_reaches_every_parameter(name):
    head = build(name).train()
    head(features(64, 96, 2)).square().mean().backward()
    assert [key for key, p in head.named_parameters() if p.grad is None or p.grad.abs().sum() == 0] == []


@pytest.mark.parametrize('name', ['PSP', 'separable ASPP', 'UPer', 'FPN'])
def test_align_corners_reaches_the_resizing(name):
    inputs = features(65, 97, 1)
    with torch.no_grad():
        apart, aligned = (build(name, align_corners=align).eval()(inputs) for align in (False, True))
    assert (apart - aligned).abs().max() > 1e-3


@pytest.mark.parametrize('name', HEADS)
def test_meta_device(name):
    with torch.device('meta'):
        head = MODELS.build(HEADS[name])
    assert {p.device.type for p in head.parameters()} == {'meta'}


def test_fcn_dilation_keeps_the_size_and_reaches_all_but_the_last_convolution():
    head = build('FCN', kernel_size=5, dilation=3)
    assert [conv.conv.dilation for conv in head.convs] == [(3, 3), (3, 3)]
    assert head.conv_cat.conv.dilation == (1, 1) and head.conv_cat.conv.in_channels == 22
    assert head(features(65, 97, 2)).shape[2:] == (3, 4)


def test_separable_fcn_has_no_dense_convolution():
    head = build('separable FCN', dw_act_cfg=dict(type='ReLU'))
    assert [type(conv) for conv in (*head.convs, head.conv_cat)] == [DepthwiseSeparableConvModule] * 3
    assert head.convs[0].depthwise_conv.with_activation
    assert not build('separable FCN').convs[0].depthwise_conv.with_activation


def test_pyramid_pooling_of_a_constant_is_constant():
    pyramid = build('PSP').eval().psp_modules
    outs = pyramid(torch.ones(1, 16, 7, 9))
    assert len(outs) == 3
    for out in outs:
        assert out.shape == (1, 6, 7, 9)
        torch.testing.assert_close(out, out[..., :1, :1].expand_as(out))


def test_first_grid_of_the_pyramid_is_the_mean():
    head = build('PSP').eval()
    x = features(65, 97, 1)[3]
    expected = head.psp_modules[0][1](x.mean((2, 3), keepdim=True)).expand(-1, -1, *x.shape[2:])
    torch.testing.assert_close(head.psp_modules(x)[0], expected)


def test_aspp_branches():
    head = build('ASPP')
    assert [(conv.conv.kernel_size[0], conv.conv.dilation[0]) for conv in head.aspp_modules] == [(1, 1), (3, 2), (3, 3)]
    assert head.bottleneck.conv.in_channels == 4 * 6
    separable = build('separable ASPP').aspp_modules
    assert separable[0].conv.kernel_size == (1, 1) and isinstance(separable[1], DepthwiseSeparableConvModule)


def test_semantic_fpn_adds_its_levels_up():
    head = build('FPN').eval()
    inputs = features(64, 96, 1)
    levels = [level(x) for level, x in zip(head.scale_heads, inputs)]
    assert [len(level) for level in head.scale_heads] == [1, 2, 4, 6]
    assert {tuple(x.shape) for x in levels} == {(1, 6, 16, 24)}
    torch.testing.assert_close(head(inputs), head.conv_seg(sum(levels)))


def test_uper_pools_at_the_top():
    head = build('UPer').eval()
    inputs = features(65, 97, 1)
    top = inputs[-1]
    expected = head.bottleneck(torch.cat([top, *(
        F.interpolate(branch(top), top.shape[2:], mode='bilinear') for branch in head.psp_modules)], dim=1))
    torch.testing.assert_close(head.psp_forward(inputs), expected)


@pytest.mark.parametrize('name, options, words', [
    ('FCN without convolutions', dict(channels=6), r'channels \(6\) must equal in_channels \(16\)'),
    ('FCN', dict(dilation=0), 'dilation 1, found 2 and 0'),
    ('separable ASPP', dict(c1_in_channels=-1), 'found -1'),
    ('FPN', dict(feature_strides=[4, 8, 16]), r'found \[4, 8, 16\] for 4 features'),
    ('FPN', dict(feature_strides=[8, 4, 16, 32]), 'finest first'),
    ('UPer', dict(in_index=[0, 1]), 'of one length'),
])
def test_what_does_not_fit_is_told(name, options, words):
    with pytest.raises(ValueError, match=words):
        build(name, **options)
