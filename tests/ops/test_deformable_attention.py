import pytest
import torch

from mmseg.ops import multi_scale_deformable_attention

DEVICES = ['cpu', pytest.param('cuda', marks=pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU'))]
SHAPES = [(3, 4), (2, 2), (1, 5)]
PLACES = sum(height * width for height, width in SHAPES)


def arguments(dtype=torch.float32, heads=2, points=2):
    value = torch.randn(2, PLACES, heads, 3, dtype=dtype)
    locations = torch.rand(2, 3, heads, len(SHAPES), points, 2, dtype=dtype) * 1.4 - 0.2  # some lie outside
    weights = torch.rand(2, 3, heads, len(SHAPES), points, dtype=dtype)
    return value, locations, weights


def by_loops(value, locations, weights):
    """Add up the four pixels around each place, one place at a time."""
    batch, queries, heads, levels, points, _ = locations.shape
    out = torch.zeros(batch, queries, heads, value.shape[-1], dtype=value.dtype)
    for b, q, head, level, point in torch.cartesian_prod(*map(torch.arange, (batch, queries, heads, levels, points))):
        height, width = SHAPES[level]
        start = sum(h * w for h, w in SHAPES[:level])
        x, y = locations[b, q, head, level, point] * torch.tensor([width, height]) - 0.5
        for row in (y.floor().int().item(), y.floor().int().item() + 1):
            for column in (x.floor().int().item(), x.floor().int().item() + 1):
                if 0 <= row < height and 0 <= column < width:
                    share = (1 - (x - column).abs()) * (1 - (y - row).abs()) * weights[b, q, head, level, point]
                    out[b, q, head] += share * value[b, start + row * width + column, head]
    return out.flatten(2)


@pytest.mark.parametrize('device', DEVICES)
def test_equals_loops(device):
    value, locations, weights = arguments()
    out = multi_scale_deformable_attention(value.to(device), SHAPES, locations.to(device), weights.to(device))
    torch.testing.assert_close(out.cpu(), by_loops(value, locations, weights), rtol=1e-4, atol=1e-5)


def test_gradient():
    value, locations, weights = (x.requires_grad_() for x in arguments(torch.float64, points=1))
    assert torch.autograd.gradcheck(
        lambda *x: multi_scale_deformable_attention(x[0], SHAPES, *x[1:]), (value, locations, weights))


def test_half_precision_values_are_read_at_exact_places():
    value, locations, weights = arguments()
    out = multi_scale_deformable_attention(value.bfloat16(), SHAPES, locations, weights)
    assert out.dtype == torch.bfloat16
    expected = multi_scale_deformable_attention(value.bfloat16().float(), SHAPES, locations, weights)
    assert torch.equal(out, expected.bfloat16())


def test_compiles_as_one_graph():
    compiled = torch.compile(multi_scale_deformable_attention, backend='eager', fullgraph=True)
    value, locations, weights = arguments()
    torch.testing.assert_close(compiled(value, SHAPES, locations, weights), by_loops(value, locations, weights))


@pytest.mark.parametrize(('shapes', 'message'), [
    ([(3, 4), (2, 2)], 'have 16 places, found 21'),
    ([(3, 4), (3, 3)], '2 maps need places in each, found places in 3')])
def test_maps_that_do_not_fit_are_named(shapes, message):
    with pytest.raises(ValueError, match=message):
        value, locations, weights = arguments()
        multi_scale_deformable_attention(value, shapes, locations, weights)
