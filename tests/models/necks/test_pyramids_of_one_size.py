import pytest
import torch
import torch.nn.functional as F

from mmseg.models.necks import Feature2Pyramid, MultiLevelNeck
from tests.golden import fill, image

BN = dict(type='BN')


def features(count, channels=4):
    return [image(9, 11, batch=2, channels=channels, seed=i) for i in range(count)]


def test_multilevel_neck_scales_each_feature():
    neck = fill(MultiLevelNeck([4, 4, 4], 6, scales=[0.5, 1, 2], norm_cfg=BN))
    outs = neck(features(3))
    assert [tuple(out.shape) for out in outs] == [(2, 6, 4, 5), (2, 6, 9, 11), (2, 6, 18, 22)]
    sum(out.square().mean() for out in outs).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in neck.parameters())
    neck.eval()
    expected = neck.convs[2](F.interpolate(neck.lateral_convs[2](features(3)[2]), scale_factor=2, mode='bilinear'))
    torch.testing.assert_close(neck(features(3))[2], expected)


def test_multilevel_neck_serves_all_scales_from_one_feature():
    outs = fill(MultiLevelNeck([4], 6))(features(1))
    assert [tuple(out.shape[2:]) for out in outs] == [(4, 5), (9, 11), (18, 22), (36, 44)]


def test_multilevel_neck_starts_after_xavier():
    neck = MultiLevelNeck([64], 64, scales=[1])
    neck.init_weights()
    bound = (6 / (64 + 64)) ** 0.5
    assert 0.9 * bound < neck.lateral_convs[0].conv.weight.abs().max() <= bound
    assert neck.convs[0].conv.bias.abs().max() == 0


def test_feature2pyramid_scales_each_feature():
    neck = fill(Feature2Pyramid(4, rescales=[4, 2, 1, 0.5, 0.25], norm_cfg=BN)).eval()
    inputs = features(5)
    outs = neck(inputs)
    assert [tuple(out.shape[1:]) for out in outs] == [(4, 36, 44), (4, 18, 22), (4, 9, 11), (4, 4, 5), (4, 2, 2)]
    assert torch.equal(outs[2], inputs[2])
    assert torch.equal(outs[3], F.max_pool2d(inputs[3], 2)) and torch.equal(outs[4], F.max_pool2d(inputs[4], 4))
    (outs[0].square().mean() + outs[1].square().mean()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in neck.parameters())


@pytest.mark.parametrize('build, error, words', [
    (lambda: Feature2Pyramid(4, rescales=[8, 1]), KeyError, r'found \[8\]'),
    (lambda: Feature2Pyramid(4, norm_cfg=BN)(features(3)), ValueError, '4 rescales need as many features, found 3'),
    (lambda: MultiLevelNeck([4, 4], 6), ValueError, '4 scales need as many features or a single one, found 2'),
    (lambda: MultiLevelNeck([4], 6)(features(2)), ValueError, '1 features, found 2'),
])
def test_what_does_not_fit_is_told(build, error, words):
    with pytest.raises(error, match=words):
        build()
