import pytest
import torch

from mmseg.models.utils import get_uncertain_point_coords_with_randomness
from mmseg.models.utils.point_sample import get_uncertainty, uncertain_points


def step(height=32, width=32, at=20):
    """Logits of two classes (1, 2, H, W): certain of the one left of the column `at`, of the other right of it."""
    logits = torch.full((1, 2, height, width), 5.)
    logits[:, 0, :, at:] = -5
    logits[:, 1, :, :at] = -5
    return logits


def margin(logits):
    return -(logits[:, :1] - logits[:, 1:]).abs()


def test_uncertainty_of_masks():
    masks = torch.tensor([[[1., -2]], [[0, 3]]])
    assert get_uncertainty(masks, torch.tensor([0, 0])).tolist() == [[[-1, -2]], [[0, -3]]]
    of_classes = torch.tensor([[[1., -2], [4, 5]], [[0, 3], [6, -7]]])
    assert get_uncertainty(of_classes, torch.tensor([1, 0])).tolist() == [[[-4, -5]], [[0, -3]]]


@pytest.mark.parametrize('oversample, share', [(1, 0.), (3, 0.75), (10, 1.), (2.5, 0.5)])
def test_points_lie_within_the_image_and_are_as_many_as_asked_for(oversample, share):
    points = uncertain_points(step().expand(3, -1, -1, -1), margin, 41, oversample, share)
    assert points.shape == (3, 41, 2) and points.min() >= 0 and points.max() <= 1
    assert not torch.equal(points[0], points[1])


def test_uncertain_places_are_preferred():
    """The border is half a pixel wide on either side, a 32nd of the image; logits also fade at the image's edge."""

    def near_the_border(share):
        x = uncertain_points(step(), margin, 200, 32, share)[0, :, 0] * 32
        return ((x - 20).abs() < 0.55).float().mean().item()

    assert near_the_border(0) < 0.1
    assert near_the_border(0.75) > 0.4
    assert near_the_border(1) > 0.55


def test_points_of_masks():
    masks = margin(step())
    torch.manual_seed(1)
    points = get_uncertain_point_coords_with_randomness(masks, torch.zeros(1).long(), 50, 3, 0.75)
    torch.manual_seed(1)
    expected = uncertain_points(masks, lambda logits: -logits.abs(), 50, 3, 0.75)
    assert torch.equal(points, expected)


def test_ratios_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match='found 0.5 and 0.75'):
        uncertain_points(step(), margin, 10, 0.5, 0.75)
    with pytest.raises(ValueError, match='found 3 and 1.5'):
        uncertain_points(step(), margin, 10, 3, 1.5)
