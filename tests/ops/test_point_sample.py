import pytest
import torch

from mmseg.ops import point_sample

DEVICES = ['cpu', pytest.param('cuda', marks=pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU'))]


def sample_by_loops(feature, points, align_corners):
    """Bilinear interpolation of one point after another, with zeros around the map."""
    batch, channels, height, width = feature.shape
    out = torch.zeros(batch, channels, points.shape[1])
    for b in range(batch):
        for p, (u, v) in enumerate(points[b].tolist()):
            x, y = (u * (width - 1), v * (height - 1)) if align_corners else (u * width - 0.5, v * height - 0.5)
            left, top = int(x // 1), int(y // 1)
            for i in (left, left + 1):
                for j in (top, top + 1):
                    if 0 <= i < width and 0 <= j < height:
                        out[b, :, p] += (1 - abs(x - i)) * (1 - abs(y - j)) * feature[b, :, j, i]
    return out


def edges_and_random(batch, count):
    corners = torch.tensor([[0., 0], [0, 1], [1, 0], [1, 1], [0.5, 0.5]]).expand(batch, -1, -1)
    return torch.cat([corners, torch.rand(batch, count, 2)], dim=1)


@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize('size', [(5, 7), (1, 4), (1, 1)])
def test_equals_loops(size, align_corners, device):
    feature, points = torch.randn(2, 3, *size), edges_and_random(2, 20)
    expected = sample_by_loops(feature, points, align_corners)
    out = point_sample(feature.to(device), points.to(device), align_corners=align_corners)
    torch.testing.assert_close(out.cpu(), expected, rtol=1e-4, atol=1e-5)


def test_centres_of_pixels_give_the_pixels():
    feature = torch.randn(1, 2, 3, 4)
    y, x = torch.meshgrid((torch.arange(3) + 0.5) / 3, (torch.arange(4) + 0.5) / 4, indexing='ij')
    grid = torch.stack([x, y], dim=-1)[None]
    torch.testing.assert_close(point_sample(feature, grid), feature)  # B P Q 2 keeps its layout
    torch.testing.assert_close(point_sample(feature, grid.flatten(1, 2)), feature.flatten(2))


def test_labels_are_read_not_mixed():
    labels = torch.tensor([[[[3., 255], [7, 7]]]])
    points = torch.tensor([[[0.4, 0.4], [0.6, 0.1], [0.9, 0.9]]])
    assert point_sample(labels, points, mode='nearest').tolist() == [[[3, 255, 7]]]


@pytest.mark.parametrize('device', DEVICES)
def test_gradients(device):
    feature = torch.randn(2, 3, 4, 5, dtype=torch.float64, device=device, requires_grad=True)
    points = torch.rand(2, 6, 2, dtype=torch.float64, device=device, requires_grad=True)
    assert torch.autograd.gradcheck(point_sample, (feature, points))


def test_compiled_as_one_graph():
    feature, points = torch.randn(2, 3, 4, 5), torch.rand(2, 6, 2)
    compiled = torch.compile(point_sample, backend='aot_eager', fullgraph=True)
    torch.testing.assert_close(compiled(feature, points), point_sample(feature, points))


@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize('autocast', [False, True])
def test_half_precision_does_not_move_the_points(autocast, device):
    """Of the places in a row of 512 pixels, bfloat16 tells few apart."""
    ramp = torch.arange(512, device=device).bfloat16().expand(1, 1, 2, 512)
    points = torch.rand(1, 100, 2, device=device)
    with torch.autocast(device, torch.bfloat16, enabled=autocast):
        out = point_sample(ramp, points)
    assert out.dtype == torch.bfloat16
    expected = (points[..., 0] * 512 - 0.5).clamp(0, 511) * _inside(points)
    torch.testing.assert_close(out[0].float(), expected, rtol=0.01, atol=1)


def _inside(points):
    """The share that is left of values within half a pixel of the edges."""
    share = 1.0
    for axis, size in ((0, 512), (1, 2)):
        place = points[..., axis] * size - 0.5
        share = share * (1 - (-place).clamp(min=0)) * (1 - (place - size + 1).clamp(min=0))
    return share
