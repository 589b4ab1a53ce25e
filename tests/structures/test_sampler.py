"""Pixel samplers against plain sorting."""
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmseg.models.losses import CrossEntropyLoss, DiceLoss, TverskyLoss
from mmseg.structures import OHEMPixelSampler, build_pixel_sampler


def example(classes=4):
    logits, labels = torch.randn(2, classes, 5, 6), torch.randint(0, max(classes, 2), (2, 1, 5, 6))
    labels[:, :, 0] = 255
    return logits, labels


def head(*losses):
    return SimpleNamespace(ignore_index=255, loss_decode=nn.ModuleList(losses) if len(losses) > 1 else losses[0])


@pytest.mark.parametrize('thresh', [.1, .6])
@pytest.mark.parametrize('min_kept', [2, 10, 24, 25, 500])
def test_low_probabilities(thresh, min_kept):
    logits, labels = example()
    valid = labels[:, 0] != 255
    prob = logits.softmax(1).gather(1, labels.where(labels != 255, 0))[:, 0]
    ranked = prob[valid].sort().values
    expected = valid & (prob < max(thresh, ranked[min(2 * min_kept, len(ranked) - 1)]))
    weight = OHEMPixelSampler(head(CrossEntropyLoss()), thresh, min_kept).sample(logits, labels)
    assert weight.dtype == logits.dtype
    assert torch.equal(weight, expected.float())


@pytest.mark.parametrize('min_kept', [2, 10, 500])
def test_high_losses(min_kept):
    logits, labels = example()
    losses = F.cross_entropy(logits, labels[:, 0], ignore_index=255, reduction='none')
    losses[labels[:, 0] == 255] = -1
    kept = min(2 * min_kept, int((labels != 255).sum()))
    weight = OHEMPixelSampler(head(CrossEntropyLoss()), min_kept=min_kept).sample(logits, labels)
    assert weight.sum() == kept
    assert losses[weight == 1].min() >= losses.flatten().sort(descending=True).values[kept - 1]


def test_several_losses_add_up_where_they_tell_pixels_apart():
    logits, labels = example()
    both = head(CrossEntropyLoss(), CrossEntropyLoss(use_sigmoid=True, loss_weight=3.))
    losses = F.cross_entropy(logits, labels[:, 0], ignore_index=255, reduction='none')
    target = F.one_hot(labels[:, 0].where(labels[:, 0] != 255, 0), 4).movedim(-1, 1).float()
    losses += 3 * F.binary_cross_entropy_with_logits(logits, target, reduction='none').sum(1)
    losses[labels[:, 0] == 255] = -1
    expected = torch.zeros(60)
    expected[losses.flatten().topk(20).indices] = 1
    assert torch.equal(OHEMPixelSampler(both, min_kept=10).sample(logits, labels).flatten(), expected)

    one = OHEMPixelSampler(head(CrossEntropyLoss()), min_kept=10).sample(logits, labels)
    with_regions = head(CrossEntropyLoss(), DiceLoss(), TverskyLoss())
    assert torch.equal(OHEMPixelSampler(with_regions, min_kept=10).sample(logits, labels), one)


def test_one_channel():
    logits, labels = example(1)
    weight = OHEMPixelSampler(head(CrossEntropyLoss(use_sigmoid=True)), .5, min_kept=2).sample(logits, labels)
    wrong = (logits[:, 0] > 0) != (labels[:, 0] == 1)
    assert torch.equal(weight.bool(), wrong & (labels[:, 0] != 255))


@pytest.mark.parametrize('thresh', [None, .7])
def test_nothing_to_choose_from(thresh):
    logits, labels = example()
    weight = OHEMPixelSampler(head(CrossEntropyLoss()), thresh).sample(logits, torch.full_like(labels, 255))
    assert weight.sum() == 0


def test_building_and_errors():
    sampler = build_pixel_sampler(dict(type='OHEMPixelSampler', thresh=.7), context=head(CrossEntropyLoss()))
    assert (sampler.thresh, sampler.min_kept) == (.7, 100000)
    with pytest.raises(ValueError, match='min_kept=1 must be above 1'):
        OHEMPixelSampler(None, min_kept=1)
    with pytest.raises(ValueError, match=r'\(2, 4, 5, 6\) do not fit labels \(2, 5, 6\)'):
        sampler.sample(torch.zeros(2, 4, 5, 6), torch.zeros(2, 5, 6))
