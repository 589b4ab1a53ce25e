"""The losses that configs name `mmdet.…`, against their formulas."""
import pytest
import torch
import torch.nn.functional as F

from mmseg.models.losses import CrossEntropyLoss, MaskCrossEntropyLoss, MaskDiceLoss, MaskFocalLoss
from mmseg.registry import MODELS

LOGITS = torch.tensor([[1., -2., 0.5], [0., 3., -1.], [2., 2., 0.]])
LABELS = torch.tensor([0, 2, 1])


@pytest.mark.parametrize(('name', 'cls'), [
    ('CrossEntropyLoss', MaskCrossEntropyLoss), ('DiceLoss', MaskDiceLoss), ('FocalLoss', MaskFocalLoss)])
def test_names_of_the_other_package(name, cls):
    assert MODELS.get(f'mmdet.{name}') is cls
    assert MODELS.get(name) is not cls and MODELS.get(f'mmseg.{name}') is MODELS.get(name)


def row_losses():
    return -LOGITS.log_softmax(1)[torch.arange(3), LABELS]


def test_softmax_divides_by_rows_unless_told_otherwise():
    weights = [1., 2., 0.5]
    of_rows = row_losses() * torch.tensor(weights)[LABELS]
    loss = MaskCrossEntropyLoss(class_weight=weights, loss_weight=2.)
    torch.testing.assert_close(loss(LOGITS, LABELS), 2 * of_rows.mean())
    torch.testing.assert_close(loss(LOGITS, LABELS, avg_factor=3.5), 2 * of_rows.sum() / 3.5)
    # The loss of pixels divides by the sum of the weights instead.
    torch.testing.assert_close(CrossEntropyLoss(class_weight=weights)(LOGITS, LABELS), of_rows.sum() / 3.5)
    torch.testing.assert_close(loss(LOGITS, LABELS, reduction_override='none'), 2 * of_rows)


@pytest.mark.parametrize(('avg_non_ignore', 'divisor'), [(False, 3), (True, 2)])
def test_softmax_of_ignored_rows(avg_non_ignore, divisor):
    expected = (row_losses()[0] + row_losses()[2]) / divisor
    loss = MaskCrossEntropyLoss(ignore_index=2, avg_non_ignore=avg_non_ignore)
    torch.testing.assert_close(loss(LOGITS, LABELS), expected)
    torch.testing.assert_close(MaskCrossEntropyLoss(avg_non_ignore=avg_non_ignore)(LOGITS, LABELS, ignore_index=2),
                               expected)


def test_sigmoid_of_labels_and_of_targets():
    labels = torch.tensor([0, 3, 1])  # 3: no object
    target = torch.tensor([[1., 0, 0], [0, 0, 0], [0, 1, 0]])
    expected = F.binary_cross_entropy_with_logits(LOGITS, target)
    loss = MaskCrossEntropyLoss(use_sigmoid=True)
    torch.testing.assert_close(loss(LOGITS, labels), expected)
    torch.testing.assert_close(loss(LOGITS, target), expected)
    torch.testing.assert_close(loss(LOGITS.flatten(), target.flatten()), expected)
    torch.testing.assert_close(loss(LOGITS, labels, weight=torch.tensor([1., 0, 0])),
                               F.binary_cross_entropy_with_logits(LOGITS[0], target[0]) / 3)
    ignored = MaskCrossEntropyLoss(use_sigmoid=True, avg_non_ignore=True)(LOGITS, labels, ignore_index=1)
    torch.testing.assert_close(ignored, F.binary_cross_entropy_with_logits(LOGITS[:2], target[:2]))


def test_dice_of_rows_keeps_every_pixel():
    """The loss of images would take row 255 of a mask for the ignored class."""
    pred, target = torch.randn(2, 300, 4), torch.rand(2, 300, 4).round()
    prob = pred.sigmoid()
    expected = 1 - (2 * (prob * target).sum((1, 2)) + 1) / (prob.sum((1, 2)) + target.sum((1, 2)) + 1)
    loss = MaskDiceLoss(naive_dice=True, eps=1.0, loss_weight=5.)
    torch.testing.assert_close(loss(pred, target), 5 * expected.mean())
    torch.testing.assert_close(loss(pred, target, torch.tensor([0., 2.]), avg_factor=4.), 5 * expected[1] / 2)
    torch.testing.assert_close(MaskDiceLoss(activate=False, naive_dice=True, eps=1.0)(prob, target), expected.mean())
    squares = 1 - 2 * (prob * target).sum((1, 2)) / (prob.square().sum((1, 2)) + target.sum((1, 2)) + 2e-3)
    torch.testing.assert_close(MaskDiceLoss(reduction='none')(pred, target), squares)


def test_focal():
    target = torch.tensor([[1., 0, 0], [0, 0, 0], [0, 1, 0]])
    prob = LOGITS.sigmoid()
    expected = torch.where(target == 1, -0.25 * (1 - prob)**2 * prob.log(), -0.75 * prob**2 * (1 - prob).log())
    for pred, label in ((LOGITS, target), (LOGITS, torch.tensor([0, 3, 1])), (LOGITS.flatten(), target.flatten())):
        torch.testing.assert_close(MaskFocalLoss()(pred, label), expected.mean())
    torch.testing.assert_close(MaskFocalLoss(activated=True)(prob, target), expected.mean(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(MaskFocalLoss(loss_weight=20.)(LOGITS, torch.tensor([0, 3, 1]),
                                                              torch.tensor([1., 1, 0]), avg_factor=7),
                               20 * expected[:2].sum() / 7)


@pytest.mark.parametrize(('loss', 'target'), [
    (MaskCrossEntropyLoss(), LABELS), (MaskCrossEntropyLoss(use_sigmoid=True), LABELS), (MaskFocalLoss(), LABELS),
    (MaskDiceLoss(), torch.ones(3, 3))])
def test_half_precision_is_summed_exactly(loss, target):
    assert loss(LOGITS.half(), target).dtype == torch.float32
    torch.testing.assert_close(loss(LOGITS.half(), target), loss(LOGITS.half().float(), target))


@pytest.mark.parametrize(('make', 'message'), [
    (lambda: MaskDiceLoss(use_sigmoid=False), 'only the sigmoid exists'),
    (lambda: MaskFocalLoss(use_sigmoid=False), 'with sigmoid only'),
    (lambda: MaskCrossEntropyLoss(use_sigmoid=True, use_mask=True), 'exclude each other')])
def test_options_that_do_not_exist(make, message):
    with pytest.raises(ValueError, match=message):
        make()
