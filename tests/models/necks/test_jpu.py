import pytest
import torch

from mmseg.models.necks import JPU
from tests.golden import fill, image

CHANNELS = (4, 6, 8)


def features(sizes=((17, 25), (9, 13), (5, 7)), batch=2):
    return [image(*size, batch, channels, seed=channels) for size, channels in zip(sizes, CHANNELS)]


@pytest.mark.parametrize('options, channels', [
    (dict(), (4, 6, 12)), (dict(dilations=(1, 2)), (4, 6, 6)), (dict(end_level=2), (4, 12)),
    (dict(start_level=1), (6, 12)), (dict(align_corners=True), (4, 6, 12))])
def test_the_last_feature_is_rebuilt_at_the_size_of_the_first(options, channels):
    neck = fill(JPU(CHANNELS, mid_channels=3, **options)).eval()
    inputs = features()
    outs = neck(inputs)
    start = options.get('start_level', 0)
    assert tuple(out.shape[1] for out in outs) == neck.out_channels == channels
    assert all(torch.equal(out, x) for out, x in zip(outs[:-1], inputs[start:]))
    assert outs[-1].shape[2:] == inputs[start].shape[2:]


def test_each_dilation_gives_a_part_of_the_result():
    neck = fill(JPU(CHANNELS, mid_channels=3)).eval()
    with torch.no_grad():
        whole = neck(features())[-1]
        for p in neck.dilation_layers[2].parameters():
            p.zero_()
        changed = (neck(features())[-1] != whole).any((2, 3))[0]
    assert changed.tolist() == [False] * 6 + [True] * 3 + [False] * 3


def test_align_corners_reaches_the_resizing():
    apart, aligned = (fill(JPU(CHANNELS, mid_channels=3, align_corners=flag)).eval()(features())[-1]
                      for flag in (False, True))
    assert (apart - aligned).abs().max() > 1e-3


def test_gradient_reaches_every_parameter():
    neck = fill(JPU(CHANNELS, mid_channels=3))
    neck(features())[-1].square().mean().backward()
    assert [key for key, p in neck.named_parameters() if p.grad is None or p.grad.abs().sum() == 0] == []


def test_features_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match='made for 3 features, found 2'):
        JPU(CHANNELS, mid_channels=3)(features()[:2])
    with pytest.raises(ValueError, match='end_level=4 .* 3 features'):
        JPU(CHANNELS, end_level=4)
    with pytest.raises(ValueError, match='start_level=2 and end_level=2 must enclose'):
        JPU(CHANNELS, start_level=2, end_level=2)
