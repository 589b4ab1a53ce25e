import pytest
import torch

from mmseg.models.utils import Encoding
from tests.golden import fill, image


def test_distances_and_residuals_equal_their_definition():
    x, codewords, scale = torch.randn(2, 7, 5), torch.randn(3, 5), torch.randn(3)
    residuals = x[:, :, None] - codewords  # B N K C
    distances = Encoding.scaled_l2(x, codewords, scale)
    torch.testing.assert_close(distances, scale * residuals.square().sum(-1), rtol=1e-4, atol=1e-4)
    weights = distances.softmax(-1)
    torch.testing.assert_close(Encoding.aggregate(weights, x, codewords),
                               (weights[..., None] * residuals).sum(1), rtol=1e-4, atol=1e-4)


def test_each_place_shares_itself_among_the_codewords():
    layer = fill(Encoding(5, 3))
    x = image(4, 6, 2, 5)
    places = x.flatten(2).transpose(1, 2)
    weights = layer.scaled_l2(places, layer.codewords, layer.scale).softmax(-1)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 24))
    torch.testing.assert_close(layer(x), layer.aggregate(weights, places, layer.codewords))


def test_fresh_codewords_are_small():
    layer = Encoding(16, 4)
    assert layer.codewords.abs().max() <= 1 / 8 and layer.codewords.std() > 0.03
    assert layer.scale.min() >= -1 and layer.scale.max() <= 0


def test_gradients():
    layer = fill(Encoding(3, 2)).double()
    x = torch.randn(1, 3, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, x)


def test_a_feature_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r'expected \(B, 5, H, W\), found \(2, 4, 3, 3\)'):
        Encoding(5, 3)(torch.zeros(2, 4, 3, 3))
