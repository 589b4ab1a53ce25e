"""One channel is class 1 against class 0, in every loss and in the accuracy; and classes that share pixels."""
import pytest
import torch

from mmseg.models.losses import (
    CrossEntropyLoss,
    DiceLoss,
    FocalLoss,
    HuasdorffDisstanceLoss,
    OhemCrossEntropy,
    TverskyLoss,
    accuracy,
)
from mmseg.models.losses.utils import both_classes

GENERATOR = torch.Generator().manual_seed(0)
LOGITS = torch.randn(2, 1, 9, 11, generator=GENERATOR)
LABELS = torch.randint(0, 2, (2, 9, 11), generator=GENERATOR)
LABELS[:, :2] = 255


@pytest.mark.parametrize('loss', [
    CrossEntropyLoss(use_sigmoid=True), DiceLoss(), FocalLoss(), TverskyLoss(), OhemCrossEntropy(min_kept=10),
    HuasdorffDisstanceLoss()], ids=lambda loss: type(loss).__name__)
def test_right_logits_cost_less_than_wrong_ones(loss):
    right = torch.where(LABELS == 1, 4.0, -4.0).unsqueeze(1)
    assert loss(right, LABELS, ignore_index=255) < loss(LOGITS, LABELS, ignore_index=255)
    assert loss(LOGITS, LABELS, ignore_index=255) < loss(-right, LABELS, ignore_index=255)


@pytest.mark.parametrize('loss', [OhemCrossEntropy(min_kept=10), HuasdorffDisstanceLoss()])
def test_softmax_of_two_channels_is_the_same(loss):
    assert both_classes(LOGITS).softmax(1)[:, 1:].sub(LOGITS.sigmoid()).abs().max() < 1e-6
    torch.testing.assert_close(loss(LOGITS, LABELS, ignore_index=255),
                               loss(both_classes(LOGITS), LABELS, ignore_index=255))


def test_dice_and_tversky_are_those_of_class_1():
    prob, truth = LOGITS.sigmoid()[:, 0], (LABELS == 1).float()
    dims = (1, 2)
    dice = 1 - 2 * (prob * truth).sum(dims) / (prob.square().sum(dims) + truth.sum(dims) + 2e-3)
    torch.testing.assert_close(DiceLoss()(LOGITS, LABELS), dice.mean())
    prob = prob * (LABELS != 255)
    hit, extra, miss = ((prob * truth).sum(dims), (prob * (1 - truth)).sum(dims), ((1 - prob) * truth).sum(dims))
    tversky = 1 - (hit + 1) / (hit + 0.3 * extra + 0.7 * miss + 1)
    torch.testing.assert_close(TverskyLoss()(LOGITS, LABELS), tversky.mean())


def test_accuracy():
    valid = LABELS != 255
    expected = 100 * ((LOGITS[:, 0] > 0) == (LABELS == 1))[valid].float().mean()
    torch.testing.assert_close(accuracy(LOGITS, LABELS, ignore_index=255), expected.view(1))
    bands, truth = torch.randn(2, 3, 5, 7), torch.randint(0, 2, (2, 3, 5, 7))
    truth[0, 1] = 255
    expected = 100 * ((bands > 0) == (truth == 1))[truth != 255].float().mean()
    torch.testing.assert_close(accuracy(bands, truth, ignore_index=255), expected.view(1))
