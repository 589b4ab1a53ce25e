"""The cascade feature fusion of ICNet."""
import pytest
import torch
import torch.nn.functional as F

from mmseg.models.necks.ic_neck import CascadeFeatureFusion, ICNeck
from tests.golden import fill, image

CHANNELS = (4, 6, 8)
SIZES = ((17, 25), (9, 13), (4, 6))


def branches(batch=1):
    return [image(*size, batch, c, seed=c) for c, size in zip(CHANNELS, SIZES)]


@pytest.mark.parametrize('align_corners', [False, True])
@torch.no_grad()
def test_fusion_adds_the_coarse_feature_enlarged(align_corners):
    fusion = fill(CascadeFeatureFusion(8, 6, 5, align_corners=align_corners)).eval()
    low, high = image(4, 6, 1, 8), image(9, 13, 1, 6)
    fused, alone = fusion(low, high)
    expected = fusion.conv_low(F.interpolate(low, (9, 13), mode='bilinear', align_corners=align_corners))
    torch.testing.assert_close(alone, expected)
    torch.testing.assert_close(fused, expected + fusion.conv_high(high))
    assert fusion.conv_low.conv.dilation == (2, 2)


@pytest.mark.parametrize('align_corners', [False, True])
def test_neck_goes_from_coarse_to_fine(align_corners):
    neck = fill(ICNeck(CHANNELS, 5, align_corners=align_corners)).train()
    outs = neck(branches(2))
    assert [tuple(x.shape) for x in outs] == [(2, 5, 9, 13), (2, 5, 17, 25), (2, 5, 17, 25)]
    sum(x.square().mean() for x in outs).backward()
    assert [key for key, p in neck.named_parameters() if p.grad is None or p.grad.abs().sum() == 0] == []
    neck.eval()
    fine, half, quarter = branches()
    fused, alone = neck.cff_24(quarter, half)
    torch.testing.assert_close(neck(branches()), (alone, *reversed(neck.cff_12(fused, fine))))


def test_there_are_three_branches():
    with pytest.raises(ValueError, match=r'3 features, found in_channels=\(4, 6\)'):
        ICNeck((4, 6))
