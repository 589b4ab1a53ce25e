"""Pixel accuracy."""
import pytest
import torch

from mmseg.models.losses import Accuracy, accuracy

PRED = torch.tensor([[.2, .3, .6, .5], [.1, .1, .2, .6], [.9, 0., 0., .1], [.4, .7, .1, .1], [0., 0., .99, 0.]])
LABEL = torch.tensor([2, 3, 0, 1, 2])


@pytest.mark.parametrize(('label', 'options', 'expected'), [
    ([2, 3, 0, 1, 2], {}, 100),
    ([2, 3, 0, 1, 3], {}, 80),
    ([3, 3, 0, 1, 2], dict(topk=2), 100),
    ([2, 3, 0, 1, 2], dict(thresh=.8), 40),
    ([3, 3, 0, 1, 2], dict(topk=2, thresh=.55), 80),
    ([2, 3, 1, 0, 2], dict(ignore_index=2), 100 / 3),
    ([255] * 5, dict(ignore_index=255), 100),
])
def test_accuracy(label, options, expected):
    value = accuracy(PRED, torch.tensor(label), **options)
    assert value.shape == (1,)
    assert value.item() == pytest.approx(expected, abs=1e-4)


def test_several_ranks():
    label = torch.tensor([1, 2, 3, 0, 2])  # third, second, second, second and first in their rows
    assert [value.item() for value in accuracy(PRED, label, topk=(1, 2, 3))] == pytest.approx([20, 80, 100], abs=1e-4)
    first, third = Accuracy(topk=(1, 3), ignore_index=0)(PRED, label)
    assert (first.item(), third.item()) == pytest.approx((25, 100), abs=1e-4)


def test_maps_agree_with_their_pixels():
    logits, label = torch.randn(2, 6, 5, 7), torch.randint(0, 6, (2, 5, 7))
    label[0, :2] = 255
    flat = logits.movedim(1, -1).reshape(-1, 6)
    for topk in (1, 3):
        assert accuracy(logits, label, topk, thresh=.1, ignore_index=255).item() == pytest.approx(
            accuracy(flat, label.flatten(), topk, thresh=.1, ignore_index=255).item())
    expected = (logits.argmax(1) == label)[label != 255].float().mean() * 100
    assert accuracy(logits, label, ignore_index=255).item() == pytest.approx(expected.item())


def test_nothing_to_compare():
    assert accuracy(torch.rand(0, 4), torch.zeros(0)).tolist() == [0]


def test_errors():
    with pytest.raises(ValueError, match=r'\(5, 4\) do not fit labels \(4,\)'):
        accuracy(PRED, torch.zeros(4))
    with pytest.raises(ValueError, match='topk=5 asks for more classes than the 4'):
        accuracy(PRED, LABEL, topk=5)
