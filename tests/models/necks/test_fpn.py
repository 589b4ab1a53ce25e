import pytest
import torch

from mmseg.models.necks import FPN
from tests.golden import fill, image

CHANNELS, SIZES = (4, 8, 16), [(17, 25), (9, 13), (5, 7)]


def features():
    return [image(*size, batch=2, channels=wide, seed=wide) for size, wide in zip(SIZES, CHANNELS)]


@pytest.mark.parametrize('options, sizes', [
    (dict(num_outs=3), SIZES),
    (dict(num_outs=5), SIZES + [(3, 4), (2, 2)]),
    (dict(num_outs=5, add_extra_convs=True), SIZES + [(3, 4), (2, 2)]),
    (dict(num_outs=4, add_extra_convs='on_input'), SIZES + [(3, 4)]),
    (dict(num_outs=4, add_extra_convs='on_lateral', relu_before_extra_convs=True), SIZES + [(3, 4)]),
    (dict(num_outs=2, start_level=1), SIZES[1:]),
    (dict(num_outs=2, end_level=2), SIZES[:2]),
    (dict(num_outs=3, norm_cfg=dict(type='BN'), no_norm_on_lateral=True, upsample_cfg=dict(mode='bilinear')), SIZES),
])
def test_sizes_and_gradients(options, sizes):
    neck = fill(FPN(CHANNELS, 6, **options))
    outs = neck(features())
    assert [tuple(out.shape) for out in outs] == [(2, 6, *size) for size in sizes]
    sum(out.square().mean() for out in outs).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in neck.parameters())


def test_the_top_reaches_every_finer_level():
    neck = fill(FPN(CHANNELS, 6, num_outs=3)).eval()
    for conv in (*neck.lateral_convs[:2], *neck.fpn_convs):
        conv.conv.weight.data.zero_()
        conv.conv.bias.data.zero_()
    for conv in neck.fpn_convs:
        conv.conv.weight.data[range(6), range(6), 1, 1] = 1.  # the identity
    outs = neck(features())
    top = neck.lateral_convs[2](features()[2])
    middle = torch.nn.functional.interpolate(top, SIZES[1])
    torch.testing.assert_close(outs[2], top)
    torch.testing.assert_close(outs[1], middle)
    torch.testing.assert_close(outs[0], torch.nn.functional.interpolate(middle, SIZES[0]))


@pytest.mark.parametrize('source, place', [('on_input', 'input'), ('on_lateral', 'lateral'), ('on_output', 'output')])
def test_source_of_the_extra_levels(source, place):
    neck = fill(FPN(CHANNELS, 6, num_outs=4, add_extra_convs=source)).eval()
    inputs = features()
    lateral = neck.lateral_convs[2](inputs[2])
    at = dict(input=inputs[2], lateral=lateral, output=neck.fpn_convs[2](lateral))
    torch.testing.assert_close(neck(inputs)[3], neck.fpn_convs[3](at[place]))


@pytest.mark.parametrize('options, words', [
    (dict(num_outs=2), 'at least that: found 2'), (dict(num_outs=3, end_level=2), 'that number: found 3'),
    (dict(num_outs=4, end_level=4), 'beyond the 3'), (dict(num_outs=4, add_extra_convs='on_top'), "'on_top'"),
])
def test_levels_that_do_not_fit_are_told(options, words):
    with pytest.raises(ValueError, match=words):
        FPN(CHANNELS, 6, **options)


def test_a_wrong_number_of_features_is_told():
    with pytest.raises(ValueError, match='3 features, found 2'):
        FPN(CHANNELS, 6, num_outs=3)(features()[:2])
