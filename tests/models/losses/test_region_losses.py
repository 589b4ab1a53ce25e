"""Losses of whole regions: Dice, Tversky, Lovász, Hausdorff, boundary."""
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmseg.models.losses import BoundaryLoss, DiceLoss, HuasdorffDisstanceLoss, LovaszLoss, TverskyLoss
from mmseg.models.losses.dice_loss import dice_loss
from mmseg.models.losses.huasdorff_distance_loss import compute_dtm, hd_loss
from mmseg.models.losses.lovasz_loss import (
    flatten_binary_logits,
    flatten_probs,
    lovasz_grad,
    lovasz_hinge,
    lovasz_hinge_flat,
    lovasz_softmax,
    lovasz_softmax_flat,
)
from mmseg.models.losses.tversky_loss import binary_tversky_loss, tversky_loss


def example(classes=3, ignored=True):
    logits, labels = torch.randn(2, classes, 4, 6), torch.randint(0, classes, (2, 4, 6))
    if ignored:
        labels[:, 0] = 255
    return logits, labels


@pytest.mark.parametrize('naive_dice', [False, True])
@pytest.mark.parametrize(('activate', 'use_sigmoid'), [(True, True), (True, False), (False, True)])
def test_dice(naive_dice, activate, use_sigmoid):
    logits, labels = example(ignored=False)
    pred = logits if activate else logits.sigmoid()
    prob = logits.softmax(1) if activate and not use_sigmoid else logits.sigmoid()
    target = F.one_hot(labels, 3).movedim(-1, 1).float()
    expected = []
    for p, t in zip(prob, target):
        if naive_dice:
            expected.append(1 - (2 * (p * t).sum() + .1) / (p.sum() + t.sum() + .1))
        else:
            expected.append(1 - 2 * (p * t).sum() / ((p**2).sum() + t.sum() + .2))
    loss = DiceLoss(use_sigmoid, activate, naive_dice=naive_dice, eps=.1, reduction='none')
    torch.testing.assert_close(loss(pred, labels), torch.stack(expected))
    torch.testing.assert_close(loss(pred, target), torch.stack(expected))
    weight = torch.tensor([1., 0.])
    assert loss(pred, labels, weight, avg_factor=2, reduction_override='mean').item() == pytest.approx(
        expected[0].item() / 2)


def test_dice_counts_ignored_pixels_as_false_alarms_unless_told_otherwise():
    logits, labels = example()
    target = F.one_hot(labels.clamp(max=2), 3).movedim(-1, 1) * (labels != 255).unsqueeze(1)
    torch.testing.assert_close(DiceLoss()(logits, labels), DiceLoss()(logits, target))
    masked = DiceLoss(mask_ignored=True)(logits, labels)
    torch.testing.assert_close(masked, DiceLoss()(logits[:, :, 1:], labels[:, 1:]))


def test_dice_leaves_out_a_class_but_keeps_its_pixels():
    logits, labels = example(ignored=False)
    prob, target = logits.sigmoid(), F.one_hot(labels, 3).movedim(-1, 1)
    expected = dice_loss(prob[:, [0, 2]], target[:, [0, 2]], None, ignore_index=None)
    torch.testing.assert_close(DiceLoss(ignore_index=1)(logits, labels), expected)
    with pytest.raises(ValueError, match='ignore_index=0 leaves out the only class'):
        dice_loss(prob[:, :1], target[:, :1], None, ignore_index=0)


def test_dice_of_masks_is_not_cut_by_the_ignored_label():
    prob, target = torch.rand(3, 300), torch.randint(0, 2, (3, 300))
    torch.testing.assert_close(
        DiceLoss(activate=False)(prob, target), dice_loss(prob, target, None, ignore_index=None))


def test_dice_with_the_weights_of_a_sampler():
    logits, labels = example(ignored=False)
    weight = torch.ones(2, 4, 6)
    weight[:, :2] = 0
    torch.testing.assert_close(DiceLoss()(logits, labels, weight), DiceLoss()(logits[:, :, 2:], labels[:, 2:]))


@pytest.mark.parametrize('class_weight', [None, [1., 3., .5]])
@pytest.mark.parametrize('ignore_index', [255, 1])
def test_tversky(class_weight, ignore_index):
    logits, labels = example(ignored=ignore_index == 255)
    prob, valid = logits.softmax(1).numpy(), (labels != ignore_index).numpy()
    total = 0.
    for c in range(3):
        if c == ignore_index:
            continue
        of_class = []
        for n in range(2):
            p, t = prob[n, c][valid[n]], (labels[n] == c).numpy()[valid[n]]
            hits, alarms, misses = (p * t).sum(), (p * (1 - t)).sum(), ((1 - p) * t).sum()
            of_class.append(1 - (hits + 2) / (hits + .6 * alarms + .4 * misses + 2))
        total += np.mean(of_class) * (class_weight[c] if class_weight else 1)
    loss = TverskyLoss(smooth=2, alpha=.6, beta=.4, class_weight=class_weight, ignore_index=ignore_index)
    assert loss(logits, labels).item() == pytest.approx(total / 3, rel=1e-5)


def test_tversky_functions_and_options():
    prob, target, valid = torch.rand(2, 3, 4, 6), torch.randint(0, 2, (2, 4, 6, 3)), torch.rand(2, 4, 6) < .8
    single = [binary_tversky_loss(prob[:, c], target[..., c], valid_mask=valid) for c in range(3)]
    torch.testing.assert_close(tversky_loss(prob, target, valid_mask=valid), torch.stack(single).mean())
    assert binary_tversky_loss(prob[:, 0], target[..., 0], valid_mask=valid, reduction='none').shape == (2,)
    with pytest.raises(ValueError, match=r'alpha=0.5 and beta=0.7 add up to 1.2.*beta=0.5'):
        TverskyLoss(alpha=.5)
    logits, labels = example()
    torch.testing.assert_close(TverskyLoss()(logits, labels.where(labels != 255, 7), ignore_index=7),
                               TverskyLoss()(logits, labels))


def test_lovasz_gradient_ends_in_the_jaccard_loss():
    ranked = torch.tensor([1., 0., 1., 0., 0., 1.])
    jaccard = [1 - (3 - hits) / (3 + others) for hits, others in [(1, 0), (1, 1), (2, 1), (2, 2), (2, 3), (3, 3)]]
    torch.testing.assert_close(lovasz_grad(ranked).cumsum(0), torch.tensor(jaccard))
    assert lovasz_grad(torch.ones(1)).tolist() == [1]


def test_lovasz_softmax_of_certain_predictions_is_one_minus_iou():
    labels, chosen = torch.randint(0, 3, (50,)), torch.randint(0, 3, (50,))
    prob = F.one_hot(chosen, 4).float()
    iou = [((labels == c) & (chosen == c)).sum() / ((labels == c) | (chosen == c)).sum() for c in range(3)]
    assert lovasz_softmax_flat(prob, labels).item() == pytest.approx(1 - np.mean(iou), rel=1e-5)
    assert lovasz_softmax_flat(prob, labels, 'all').item() == pytest.approx((3 - sum(iou)).item() / 4, rel=1e-5)
    assert lovasz_softmax_flat(prob, labels, [2]).item() == pytest.approx(1 - iou[2].item(), rel=1e-5)
    weighted = lovasz_softmax_flat(prob, labels, class_weight=[1., 0., 0., 0.])
    assert weighted.item() == pytest.approx((1 - iou[0].item()) / 3, rel=1e-5)


def test_lovasz_per_image_and_reduction():
    logits, labels = example()
    single = torch.stack([lovasz_softmax(logits[n:n + 1].softmax(1), labels[n:n + 1]) for n in range(2)])
    loss = LovaszLoss(per_image=True)
    torch.testing.assert_close(loss(logits, labels), single.mean())
    torch.testing.assert_close(loss(logits, labels, reduction_override='none'), single)
    torch.testing.assert_close(loss(logits, labels, avg_factor=4), single.sum() / 4)


def test_lovasz_hinge():
    logits, labels = torch.randn(2, 1, 4, 6), torch.randint(0, 2, (2, 4, 6))
    labels[:, 0] = 255
    loss = LovaszLoss('binary', per_image=True)
    single = torch.stack([lovasz_hinge_flat(logits[n, 0, 1:].flatten(), labels[n, 1:].flatten()) for n in range(2)])
    torch.testing.assert_close(loss(logits, labels), single.mean())
    torch.testing.assert_close(lovasz_hinge(logits, labels), lovasz_hinge(logits[:, :, 1:], labels[:, 1:]))
    certain = 9. * (2 * labels[:, 1:] - 1)  # beyond the margin everywhere
    assert lovasz_hinge(certain, labels[:, 1:]).item() == 0
    wrong = certain.clone()
    wrong[0, 0, 0] *= -1
    touched = (labels[:, 1:] == 1).sum() + (labels[0, 1, 0] == 0)
    assert lovasz_hinge(wrong, labels[:, 1:]).item() == pytest.approx(10 / touched.item(), rel=1e-5)
    assert lovasz_hinge_flat(torch.zeros(0), torch.zeros(0)).item() == 0


def test_lovasz_flattening():
    logits, labels = example()
    prob, flat = flatten_probs(logits, labels, 255)
    assert torch.equal(flat, labels[labels != 255])
    assert torch.equal(prob, logits.movedim(1, -1)[labels != 255])
    assert flatten_probs(logits[:, 0], labels)[0].shape == (48, 1)
    values, flat = flatten_binary_logits(logits[:, :1], labels, 255)
    assert torch.equal(values, logits[:, 0][labels != 255])
    assert flatten_binary_logits(logits[:, 0], labels)[1].shape == (48,)


@pytest.mark.parametrize(('options', 'message'), [
    (dict(loss_type='ternary'), "loss_type='ternary'"),
    (dict(classes='some', reduction='none'), "classes='some'"),
    (dict(reduction='mean'), 'per_image=False'),
])
def test_lovasz_options(options, message):
    with pytest.raises(ValueError, match=message):
        LovaszLoss(**options)


def test_lovasz_softmax_of_one_channel_needs_its_class():
    prob, labels = torch.rand(2, 1, 4, 6), torch.randint(0, 2, (2, 4, 6))
    assert lovasz_softmax(prob, labels, classes=[1]).item() > 0
    with pytest.raises(ValueError, match="loss_type='binary'"):
        lovasz_softmax(prob, labels)


def test_distances_to_the_background():
    labels = torch.zeros(2, 5, 5, dtype=torch.long)
    labels[0, 1:4, 1:4] = 2
    distances = compute_dtm(labels, torch.zeros(2, 3, 5, 5))
    assert distances[0, 1].tolist() == distances[0, 2].tolist()
    assert distances[0, 1, 1:4, 1:4].tolist() == [[1, 1, 1], [1, 2, 1], [1, 1, 1]]
    assert distances.sum() == 20
    assert distances[:, 0].sum() == 0


def test_hausdorff():
    prob, labels = torch.rand(2, 3, 4, 6), torch.randint(0, 2, (2, 4, 6))
    ours, theirs = torch.rand(2, 3, 4, 6), torch.rand(2, 3, 4, 6)
    of_class = [((prob[:, c] - labels)**2 * (ours[:, c]**2 + theirs[:, c]**2)).mean().item() for c in range(3)]
    value = hd_loss(prob, labels, seg_dtm=ours, gt_dtm=theirs)
    assert value.item() == pytest.approx(sum(of_class[1:]) / 3)
    class_weight = torch.tensor([9., 2., 5.])
    weighted = hd_loss(prob, labels, seg_dtm=ours, gt_dtm=theirs, class_weight=class_weight, ignore_index=1)
    assert weighted.item() == pytest.approx(5 * of_class[2] / 3)
    with pytest.raises(ValueError, match='2 entries for 3 classes'):
        hd_loss(prob, labels, seg_dtm=ours, gt_dtm=theirs, class_weight=torch.ones(2))


def test_hausdorff_learns_and_takes_class_weights():
    logits, labels = example()
    logits.requires_grad_()
    value = HuasdorffDisstanceLoss(class_weight=[1., 1., 1.])(logits, labels, ignore_index=255)
    value.backward()
    assert value.item() == pytest.approx(HuasdorffDisstanceLoss()(logits, labels).item())
    assert logits.grad.abs().sum() > 0


def test_boundary_loss_balances_both_kinds():
    logits, target = torch.randn(2, 1, 4, 6), torch.zeros(2, 4, 6, dtype=torch.long)
    target[0, 1] = 1
    target[1, 2] = 255
    losses = F.binary_cross_entropy_with_logits(logits[:, 0], (target == 1).float(), reduction='none')
    expected = (losses[target == 1].sum() * 36 + losses[target == 0].sum() * 6) / 42 / 48
    assert BoundaryLoss(loss_weight=20)(logits, target).item() == pytest.approx(20 * expected.item(), rel=1e-5)
