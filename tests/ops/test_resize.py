import warnings

import pytest
import torch
import torch.nn.functional as F

from mmseg.models.utils import Upsample
from mmseg.ops import resize


def test_equals_interpolate_and_spares_work():
    x = torch.randn(1, 2, 5, 6)
    expected = F.interpolate(x, (9, 11), mode='bilinear', align_corners=True)
    assert torch.equal(resize(x, (9, 11), mode='bilinear', align_corners=True), expected)
    assert resize(x, torch.Size((5, 6)), mode='bilinear', align_corners=False) is x


@pytest.mark.parametrize('target, told', [((9, 11), False), ((8, 11), True), ((5, 6), False), ((3, 3), False)])
def test_warns_of_unaligned_corners(target, told):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter('always')
        resize(torch.zeros(1, 1, 5, 6), target, mode='bilinear', align_corners=True)
    assert bool(seen) == told
    assert not told or '(5, 6) to (8, 11)' in str(seen[0].message)


def test_upsample_by_factor():
    assert Upsample(scale_factor=(2, 3))(torch.zeros(1, 1, 5, 6)).shape == (1, 1, 10, 18)
    assert Upsample(size=(7, 8), mode='bilinear')(torch.zeros(1, 1, 5, 6)).shape == (1, 1, 7, 8)
