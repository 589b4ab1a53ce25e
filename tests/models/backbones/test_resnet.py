import pytest
import torch
from torch import nn

from mmseg.models.backbones import ResNet, ResNetV1c, ResNetV1d, ResNeXt
from mmseg.models.backbones.resnet import BasicBlock, Bottleneck
from tests.golden import fill, image

SMALL = dict(depth=50, base_channels=8, stem_channels=8)
D8 = dict(strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4))


def count(model):
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize('kind, options, parameters', [
    # The sizes of the published ImageNet models, without their classifiers.
    (ResNet, dict(depth=18), 11_176_512), (ResNet, dict(depth=34), 21_284_672), (ResNet, dict(depth=50), 23_508_032),
    (ResNet, dict(depth=101), 42_500_160), (ResNet, dict(depth=152), 58_143_808),
    (ResNetV1c, dict(depth=50), 23_527_264), (ResNetV1d, dict(depth=50), 23_527_264),
    (ResNeXt, dict(depth=50, groups=32, base_width=4), 22_979_904),
    (ResNeXt, dict(depth=101, groups=32, base_width=8), 86_742_336),
])
def test_number_of_parameters(kind, options, parameters):
    with torch.device('meta'):
        assert count(kind(**options)) == parameters


@pytest.mark.parametrize('options, strides, sizes', [
    (dict(), (4, 8, 16, 32), [(17, 25), (9, 13), (5, 7), (3, 4)]),
    (D8, (4, 8, 8, 8), [(17, 25), (9, 13), (9, 13), (9, 13)]),
    (dict(strides=(1, 2, 2, 1), dilations=(1, 1, 1, 2), out_indices=(1, 3)), (8, 16), [(9, 13), (5, 7)]),
])
def test_features_of_an_odd_size_have_the_published_channels_and_strides(options, strides, sizes):
    model = ResNet(**SMALL, **options).eval()
    features = model(image(65, 97))
    assert model.out_strides == strides
    assert tuple(f.shape[1] for f in features) == model.out_channels
    assert [tuple(f.shape[2:]) for f in features] == sizes


def dilations(stage):
    return [(m.conv1 if isinstance(m, BasicBlock) else m.conv2).dilation[0] for m in stage]


def test_dilations_of_the_blocks():
    assert dilations(ResNet(**SMALL, **D8).layer4) == [4, 4, 4]
    assert dilations(ResNet(**SMALL, **D8, contract_dilation=True).layer4) == [2, 4, 4]
    grid = ResNet(**SMALL, **D8, contract_dilation=True, multi_grid=(1, 2, 4))
    assert dilations(grid.layer4) == [1, 2, 4] and dilations(grid.layer3) == [1] + [2] * 5
    with pytest.raises(ValueError, match='each of 3 blocks'):
        ResNet(**SMALL, multi_grid=(1, 2))


@pytest.mark.parametrize('style, strides', [('pytorch', (1, 2)), ('caffe', (2, 1))])
def test_style_places_the_stride(style, strides):
    block = ResNet(**SMALL, style=style).layer2[0]
    assert (block.conv1.stride[0], block.conv2.stride[0]) == strides


def test_a_fresh_bottleneck_is_the_identity():
    model = ResNet(**SMALL)
    model.init_weights()
    x = image(9, 11, channels=32).relu()
    assert torch.equal(model.layer1[1](x), x)
    started = ResNet(**SMALL, zero_init_residual=False)
    started.init_weights()
    assert not torch.equal(started.layer1[1](x), x)


def test_stem_and_shortcut_of_the_variants():
    plain, c, d = (kind(**SMALL) for kind in (ResNet, ResNetV1c, ResNetV1d))
    assert plain.conv1.kernel_size == (7, 7) and isinstance(plain.norm1, nn.BatchNorm2d)
    assert [m.kernel_size for m in c.stem if isinstance(m, nn.Conv2d)] == [(3, 3)] * 3
    assert c.layer2[0].downsample[0].stride == (2, 2)
    assert isinstance(d.layer2[0].downsample[0], nn.AvgPool2d) and d.layer2[0].downsample[1].stride == (1, 1)


@pytest.mark.parametrize('kind', [ResNet, ResNetV1c])
@pytest.mark.parametrize('stages', [-1, 0, 2])
def test_frozen_stages_neither_learn_nor_track(kind, stages):
    model = kind(**SMALL, frozen_stages=stages).train()
    stem = ('conv1.', 'bn1.', 'stem.')
    frozen = (() if stages < 0 else stem) + tuple(f'layer{i}.' for i in range(1, stages + 1))
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad is not (name.startswith(frozen) and bool(frozen)), name
    before = {k: v.clone() for k, v in model.state_dict().items() if k.endswith('running_mean')}
    model(image(33, 33, batch=2))
    for name, value in before.items():
        assert torch.equal(model.state_dict()[name], value) is (name.startswith(frozen) and bool(frozen)), name


def test_norm_eval_holds_the_statistics_but_learns():
    model = ResNet(**SMALL, norm_eval=True).train()
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert model.training and norms and not any(m.training for m in norms)
    assert all(m.weight.requires_grad for m in norms)


@pytest.mark.parametrize('kind, options', [
    (ResNet, dict(depth=18, base_channels=8, stem_channels=8)), (ResNetV1d, SMALL),
    (ResNeXt, dict(SMALL, base_channels=16, groups=4, base_width=8)),
])
def test_checkpointing_trains_the_same(kind, options):
    gradients, statistics = [], []
    for with_cp in (False, True):
        model = fill(kind(**options, with_cp=with_cp)).train()
        sum(f.square().mean() for f in model(image(65, 97, batch=2))).backward()
        gradients.append([p.grad for p in model.parameters()])
        statistics.append(list(model.buffers()))
    assert all(g is not None and g.abs().sum() > 0 for g in gradients[0])
    torch.testing.assert_close(*gradients)
    torch.testing.assert_close(*statistics, rtol=0, atol=0)


def test_plugins_stand_where_they_are_told():
    plugins = [
        dict(cfg=dict(type='ContextBlock', ratio=1 / 4), stages=(False, True, True, False), position='after_conv3'),
        dict(cfg=dict(type='GeneralizedAttention', num_heads=2, kv_stride=2), position='after_conv2'),
        dict(cfg=dict(type='ContextBlock', ratio=1 / 4, postfix='_early'), position='after_conv1'),
    ]
    model = ResNet(**SMALL, plugins=plugins)
    assert not hasattr(model.layer1[0], 'context_block') and hasattr(model.layer2[0], 'context_block')
    assert model.layer2[0].context_block.in_channels == 64
    assert model.layer2[0].context_block_early.in_channels == 16
    assert model.layer1[0].gen_attention_block.in_channels == 8
    assert [f.shape[1] for f in fill(model).eval()(image(65, 97))] == [32, 64, 128, 256]

    called = []
    for name, layer in model.layer2[0].named_children():
        layer.register_forward_hook(lambda *_, name=name: called.append(name))
    model(image(65, 97))
    order = [name for name in called if name.startswith(('conv', 'gen', 'context'))]
    assert order == ['conv1', 'context_block_early', 'conv2', 'gen_attention_block', 'conv3', 'context_block']

    with pytest.raises(ValueError, match='postfix'):
        Bottleneck(32, 8, plugins=[dict(cfg=dict(type='ContextBlock', ratio=0.5), position='after_conv1')] * 2)
    with pytest.raises(ValueError, match='4 stages'):
        ResNet(**SMALL, plugins=[dict(plugins[0], stages=(True,))])


def test_initial_weights_are_named_once():
    address = 'torchvision://resnet50'
    assert ResNet(**SMALL, pretrained=address).init_cfg == dict(type='Pretrained', checkpoint=address)
    assert ResNet(**SMALL).init_cfg[0]['type'] == 'Kaiming'
    with pytest.raises(ValueError, match='keep one'):
        ResNet(**SMALL, pretrained=address, init_cfg=dict(type='Kaiming'))
    with pytest.raises(TypeError, match='found bool'):
        ResNet(**SMALL, pretrained=True)


@pytest.mark.parametrize('options, error, words', [
    (dict(depth=20), KeyError, '18, 34, 50, 101, 152'),
    (dict(depth=50, num_stages=3), ValueError, 'num_stages=3'),
    (dict(depth=50, out_indices=(4,)), ValueError, 'below num_stages'),
    (dict(depth=50, style='torch'), ValueError, "'torch'"),
    (dict(depth=18, plugins=[]), NotImplementedError, '50, 101 or 152'),
    (dict(depth=50, dcn=dict(type='DCN'), stage_with_dcn=(False, True, True, True)), ImportError, 'mim install mmcv'),
])
def test_what_cannot_be_built_is_told(options, error, words):
    with torch.device('meta'), pytest.raises(error, match=words):
        ResNet(**options)


def test_resnext_widths():
    block = ResNeXt(depth=50, groups=32, base_width=4).layer2[0]
    assert (block.conv1.out_channels, block.conv2.groups, block.conv3.out_channels) == (256, 32, 512)
    with pytest.raises(KeyError, match='ResNeXt comes with depth 50, 101, 152'):
        ResNeXt(depth=18)
