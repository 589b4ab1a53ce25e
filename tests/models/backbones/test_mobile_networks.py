"""CGNet, MobileNetV2 and MobileNetV3."""
import pytest
import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule

from mmseg.models.backbones import CGNet, MobileNetV2, MobileNetV3
from mmseg.models.backbones.cgnet import ContextGuidedBlock, GlobalContextExtractor, InputInjection
from mmseg.registry import MODELS
from tests.golden import fill, image

D8 = dict(strides=(1, 2, 2, 1, 1, 1, 1), dilations=(1, 1, 1, 2, 2, 4, 4))
NETWORKS = {
    'CGNet': (dict(type='CGNet', num_channels=(8, 16, 32), num_blocks=(2, 3), reductions=(2, 2)), (11, 35, 64),
              (2, 4, 8)),
    'MobileNetV2': (dict(type='MobileNetV2', widen_factor=0.25), (8, 8, 24, 80), (4, 8, 16, 32)),
    'MobileNetV2 d8': (dict(type='MobileNetV2', widen_factor=0.25, out_indices=(0, 6), **D8), (8, 80), (2, 8)),
    'MobileNetV3 small': (dict(type='MobileNetV3', reduction_factor=2), (16, 16, 576), (2, 4, 8)),
    'MobileNetV3 large': (dict(type='MobileNetV3', arch='large', out_indices=(1, 3, 6, 15, 16)),
                          (16, 24, 40, 160, 960), (2, 4, 8, 8, 8)),
}


def build(name, **options):
    return fill(MODELS.build(dict(NETWORKS[name][0], **options)))


@pytest.mark.parametrize('size', [(65, 97), (64, 96)])
@pytest.mark.parametrize('name', NETWORKS)
@torch.no_grad()
def test_features_have_the_published_channels_and_strides(name, size):
    _, channels, strides = NETWORKS[name]
    model = build(name).eval()
    features = model(image(*size))
    assert (model.out_channels, model.out_strides) == (channels, strides)
    assert [tuple(f.shape) for f in features] == [
        (1, c, -(-size[0] // s), -(-size[1] // s)) for c, s in zip(channels, strides)]
    assert all(f.isfinite().all() and f.std() > 0 for f in features)


@pytest.mark.parametrize('name', ['CGNet', 'MobileNetV2 d8', 'MobileNetV3 small'])
def test_checkpointing_trains_every_parameter_the_same(name):
    outcomes = []
    for with_cp in (False, True):
        model = build(name, with_cp=with_cp).train()
        model(image(33, 49, batch=2))[-1].square().mean().backward()
        used = {key: p.grad for key, p in model.named_parameters()}
        assert [key for key, grad in used.items() if grad is None or not grad.abs().sum() > 0] == []
        outcomes.append([*used.values(), *model.buffers()])
    torch.testing.assert_close(*outcomes)


@pytest.mark.parametrize('name', ['CGNet', 'MobileNetV2', 'MobileNetV3 small'])
def test_norm_eval_holds_the_statistics(name):
    model = build(name, norm_eval=True).train()
    before = [b.clone() for b in model.buffers()]
    model(image(32, 32, batch=2))
    torch.testing.assert_close(list(model.buffers()), before, rtol=0, atol=0)


@pytest.mark.parametrize('name, frozen_stages, learning', [
    ('MobileNetV2', -1, 'conv1.conv.weight'), ('MobileNetV2', 0, 'layer1.0.conv.0.conv.weight'),
    ('MobileNetV2', 3, 'layer4.0.conv.0.conv.weight'), ('MobileNetV3 small', -1, 'layer0.conv.weight'),
    ('MobileNetV3 small', 4, 'layer5.expand_conv.conv.weight'),
])
def test_frozen_stages_come_first_and_stay_in_evaluation(name, frozen_stages, learning):
    model = build(name, frozen_stages=frozen_stages).train()
    assert next(key for key, p in model.named_parameters() if p.requires_grad) == learning
    still = [module for module in model.children() if not module.training]
    assert len(still) == frozen_stages + 1
    assert all(not p.requires_grad for module in still for p in module.parameters())


def test_gate_of_the_global_context_scales_channels():
    extractor = fill(GlobalContextExtractor(16, reduction=4))
    x = image(9, 11, batch=2, channels=16)
    gate = torch.sigmoid(extractor.fc[2](torch.relu(extractor.fc[0](x.mean((2, 3))))))
    torch.testing.assert_close(extractor(x), x * gate[..., None, None])
    with pytest.raises(ValueError, match='between 1 and the number of channels, 8: found 16'):
        GlobalContextExtractor(8)


def test_context_guided_block_adds_what_it_computes():
    block = fill(ContextGuidedBlock(16, 16, dilation=3, reduction=4)).eval()
    x = image(9, 11, channels=16)
    local = block.conv1x1(x)
    joint = block.activate(block.bn(torch.cat([block.f_loc(local), block.f_sur(local)], 1)))
    torch.testing.assert_close(block(x), x + block.f_glo(joint))
    assert (block.f_loc.dilation, block.f_sur.dilation) == ((1, 1), (3, 3))
    down = ContextGuidedBlock(16, 24, downsample=True, act_cfg=dict(type='ReLU'))
    assert down(x.repeat(2, 1, 1, 1)).shape == (2, 24, 5, 6) and not down.skip_connect
    assert isinstance(down.conv1x1.activate, torch.nn.ReLU)


def test_the_image_is_injected_at_half_and_quarter_size():
    x = image(21, 30)
    half = F.avg_pool2d(x, 3, 2, 1)
    torch.testing.assert_close(InputInjection(1)(x), half)
    torch.testing.assert_close(InputInjection(2)(x), F.avg_pool2d(half, 3, 2, 1))
    model = build('CGNet').eval()
    pixels = model.norm_prelu_0[1](model.norm_prelu_0[0](torch.cat([torch.zeros(1, 8, 11, 15), half], 1)))
    torch.testing.assert_close(model(x)[0][:, 8:], pixels[:, 8:])


def test_slopes_of_cgnet_start_at_zero():
    model = CGNet(num_channels=(8, 16, 32), num_blocks=(1, 1))
    model.init_weights()
    slopes = {key: p for key, p in model.named_parameters() if 'activate' in key or 'norm_prelu_0.1' in key}
    assert len(slopes) == 3 + 2 * 2 + 1 and all((p == 0).all() for p in slopes.values())


def test_dilations_of_mobilenet_v2_are_those_of_first_blocks_or_of_each():
    dilations = (1, 1, 1, 2, (2, 2, 2), (2, 4, 4), 4)
    model = MobileNetV2(widen_factor=0.25, strides=D8['strides'], dilations=dilations)
    found = [[block.conv[-2].conv.dilation[0] for block in getattr(model, f'layer{i}')] for i in range(1, 8)]
    assert found == [[1], [1, 1], [1, 1, 1], [2, 1, 1, 1], [2, 2, 2], [2, 4, 4], [4]]


def test_dilations_of_mobilenet_v3_take_the_place_of_its_last_strides():
    for arch, doubled, quadrupled, count in (('small', 4, 9, 13), ('large', 7, 13, 17)):
        model = MobileNetV3(arch)
        blocks = [getattr(model, f'layer{i}') for i in range(1, count - 1)]
        found = [block.depthwise_conv.conv.dilation[0] for block in blocks]
        assert found == [1] * (doubled - 1) + [2] * (quadrupled - doubled) + [4] * (count - 1 - quadrupled)
        assert isinstance(getattr(model, f'layer{count - 1}'), ConvModule)


def test_a_narrower_last_stage_gets_no_shortcut_where_a_stride_was():
    model = MobileNetV3(reduction_factor=2)  # layer 9 then has 48 channels, as layer 8
    assert [getattr(model, f'layer{i}').with_shortcut for i in (8, 9, 10, 11)] == [True, False, True, True]
    assert model.layer10.linear_conv.conv.weight.shape == (48, 288, 1, 1)
    assert model.layer12.conv.weight.shape == (576, 48, 1, 1)


@pytest.mark.parametrize('network, options, error, words', [
    (CGNet, dict(num_blocks=(3, 21, 1)), ValueError, r'2 num_blocks, each at least 1, found \(3, 21, 1\)'),
    (CGNet, dict(num_channels=(32, 0, 128)), ValueError, 'found'),
    (MobileNetV2, dict(out_indices=(7,)), ValueError, r'0 to 6, found \(7,\)'),
    (MobileNetV2, dict(strides=(1, 2)), ValueError, '7 stages, found 2 strides and 7 dilations'),
    (MobileNetV2, dict(dilations=(1, 1, (1, 2), 1, 1, 1, 1)), ValueError, r'stage of 3 blocks .* found \[1, 2\]'),
    (MobileNetV2, dict(frozen_stages=8), ValueError, 'found 8'),
    (MobileNetV3, dict(arch='big'), KeyError, "small and large, found arch='big'"),
    (MobileNetV3, dict(out_indices=(0, 16)), ValueError, 'small network must lie in 0 to 12'),
    (MobileNetV3, dict(arch='large', frozen_stages=17), ValueError, '-1 .* to 16, found 17'),
    (MobileNetV3, dict(reduction_factor=0), ValueError, 'at least 1, found 0'),
])
def test_what_cannot_be_built_is_told(network, options, error, words):
    with pytest.raises(error, match=words):
        network(**options)
