import pytest
import torch
from torch import nn

from mmseg.models.backbones import ResNeSt
from mmseg.models.backbones.resnest import Bottleneck, RSoftmax, SplitAttentionConv2d
from tests.golden import fill, image

SMALL = dict(depth=50, base_channels=8, stem_channels=8)
D8 = dict(strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4))


class Shallow(ResNeSt):
    """With every kind of block, but few of them."""

    arch_settings = {50: (Bottleneck, (2, 1, 1, 1))}


@pytest.mark.parametrize('options, parameters', [
    # Published ImageNet models, without their classifiers.
    (dict(depth=50, stem_channels=64), 25_434_240), (dict(depth=101, stem_channels=128), 46_226_016)])
def test_number_of_parameters(options, parameters):
    with torch.device('meta'):
        assert sum(p.numel() for p in ResNeSt(**options).parameters()) == parameters


@pytest.mark.parametrize('options', [dict(), D8, dict(avg_down_stride=False), dict(radix=1), dict(groups=2, radix=2)])
@pytest.mark.parametrize('size', [(64, 96), (65, 97), (1, 1)])
def test_features_have_the_published_channels_and_strides(options, size):
    model = fill(Shallow(**SMALL, **options)).eval()
    features = model(image(*size))
    assert tuple(f.shape[1] for f in features) == model.out_channels
    assert [tuple(f.shape[2:]) for f in features] == [
        tuple(-(-side // stride) for side in size) for stride in model.out_strides]


@pytest.mark.parametrize('options', [D8, dict(radix=1), dict(groups=2, radix=2, contract_dilation=True, **D8)])
def test_gradient_reaches_every_parameter(options):
    model = fill(Shallow(**SMALL, **options)).train()
    sum(f.square().mean() for f in model(image(64, 96, 2))).backward()
    assert [key for key, p in model.named_parameters() if p.grad is None or p.grad.abs().sum() == 0] == []


@pytest.mark.parametrize('groups', [1, 2])
def test_shares_of_a_channel_add_up_to_one(groups):
    x = torch.randn(2, 12, 1, 1)
    shares = RSoftmax(3, groups)(x).view(2, 3, 4)  # B radix (groups C)
    torch.testing.assert_close(shares.sum(1), torch.ones(2, 4))
    expected = x.view(2, groups, 3, 4 // groups).softmax(2)
    torch.testing.assert_close(shares[:, 1], expected[:, :, 1].flatten(1))
    torch.testing.assert_close(RSoftmax(1, groups)(x), x.flatten(1).sigmoid())


def test_split_attention_is_a_convex_combination_of_the_splits():
    layer = fill(SplitAttentionConv2d(6, 4, 3, padding=1, radix=3)).eval()
    x = image(7, 9, 2, 6)
    splits = layer.norm0(layer.conv(x)).relu().view(2, 3, 4, 7, 9)
    out = layer(x)
    assert out.shape == (2, 4, 7, 9)
    assert (out >= splits.amin(1) - 1e-6).all() and (out <= splits.amax(1) + 1e-6).all()
    means = splits.sum(1).mean((2, 3), keepdim=True)
    weight = layer.fc2(layer.norm1(layer.fc1(means)).relu()).view(2, 3, 4, 1, 1).softmax(1)
    torch.testing.assert_close(out, (weight * splits).sum(1))


def test_the_stride_is_taken_by_an_average():
    averaged, strided = (Bottleneck(32, 8, stride=2, downsample=nn.Conv2d(32, 32, 1, 2), avg_down_stride=flag)
                         for flag in (True, False))
    assert averaged.conv2.conv.stride == (1, 1) and averaged.avd_layer.stride == 2
    assert strided.conv2.conv.stride == (2, 2) and isinstance(strided.avd_layer, nn.Identity)
    assert not hasattr(averaged, 'bn2')


def test_hidden_layer_has_at_least_32_channels():
    assert SplitAttentionConv2d(8, 8, 3).fc1.out_channels == 32
    assert SplitAttentionConv2d(256, 8, 3, radix=2, reduction_factor=4).fc1.out_channels == 128


def test_unknown_depth_is_refused():
    with pytest.raises(KeyError, match='depth 50, 101, 152, 200, found 18'):
        ResNeSt(depth=18)
