"""The mean over windows equals windows enlarged one by one and summed."""
import pytest
import torch

from mmseg.ops import Geometry, WindowLogits, resize, restore_logits, window_counts, window_grid


def sliding(size, window, stride, low, classes=5, images=2, align_corners=False):
    """Logits of random windows, and their mean over two images made one window at a time."""
    generator = torch.Generator().manual_seed(0)
    windows = window_grid(size, window, stride)
    counts = window_counts(size, window, stride)
    logits = torch.randn(len(windows), images, classes, *low, generator=generator)
    total = torch.zeros(images, classes, *size)
    for part, (top, bottom, left, right) in zip(logits, windows):
        total[:, :, top:bottom, left:right] += resize(part, (bottom - top, right - left), mode='bilinear',
                                                      align_corners=align_corners)
    return WindowLogits(logits, windows, counts, align_corners), total / (counts[0] * counts[1])


CASES = [((97, 203), (64, 64), (42, 42), (8, 8)), ((130, 150), (64, 96), (64, 51), (9, 25)),
         ((70, 65), (128, 128), (85, 85), (18, 17)), ((65, 65), (65, 65), (43, 43), (65, 65)),
         ((80, 300), (80, 80), (17, 79), (1, 3))]


@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize(('size', 'window', 'stride', 'low'), CASES)
def test_mean_and_labels(size, window, stride, low, align_corners):
    found, expected = sliding(size, window, stride, low, align_corners=align_corners)
    for image, mean in zip(found, expected):
        torch.testing.assert_close(image.mean(), mean, atol=1e-5, rtol=1e-5)
        label = image.labels(Geometry(size))
        assert label.shape == (1, *size)
        best = mean.topk(2, 0).values
        assert (label[0] == mean.argmax(0))[best[0] - best[1] > 1e-4].all()


@pytest.mark.parametrize('geometry', [
    Geometry((97, 203), padding=(3, 0, 0, 5)), Geometry((97, 203), flip='horizontal'),
    Geometry((97, 203), ori_shape=(50, 99)), Geometry((97, 203), (0, 4, 1, 0), 'diagonal', (120, 160))])
def test_the_way_back_to_the_original(geometry):
    found, expected = sliding(*CASES[0])
    for image, mean in zip(found, expected):
        full = restore_logits(mean, geometry)
        torch.testing.assert_close(image.restore(geometry), full, atol=1e-5, rtol=1e-5)
        assert (image.labels(geometry)[0] != full.argmax(0)).float().mean() < 1e-3


def test_a_single_class_is_compared_with_the_threshold():
    found, expected = sliding(*CASES[0], classes=1, images=1)
    found = WindowLogits(found.logits, found.windows, found.counts, threshold=0.3)
    label, = (image.labels(Geometry(CASES[0][0])) for image in found)
    assert (label[0] == (expected[0, 0].sigmoid() > 0.3)).float().mean() > 0.999


def test_half_precision_is_summed_in_single_precision():
    found, expected = sliding(*CASES[0])
    with torch.autocast('cpu', torch.bfloat16):
        mean = next(iter(WindowLogits(found.logits.bfloat16(), found.windows, found.counts))).mean()
    torch.testing.assert_close(mean.float(), expected[0], atol=0.03, rtol=0.03)
