"""Losses that weight each pixel: focal, hard examples; and those of depths and of distillation."""
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmseg.models.losses import FocalLoss, KLDivLoss, OhemCrossEntropy, SiLogLoss
from mmseg.models.losses.focal_loss import py_sigmoid_focal_loss, sigmoid_focal_loss
from mmseg.models.losses.silog_loss import silog_loss


def example(classes=3):
    logits, labels = torch.randn(2, classes, 4, 6), torch.randint(0, max(classes, 2), (2, 4, 6))
    labels[:, 0] = 255
    return logits, labels


def naive_focal(logits, labels, gamma, alpha, class_weight):
    """(N, C, H, W) losses, one logit at a time."""
    losses = np.zeros(logits.shape)
    for n, c, y, x in np.ndindex(logits.shape):
        label = labels[n, y, x].item()
        if label == 255:
            continue
        prob = 1 / (1 + np.exp(-logits[n, c, y, x].item()))
        positive = label == (c if logits.size(1) > 1 else 1)
        own, share = (prob, alpha[c]) if positive else (1 - prob, 1 - alpha[c])
        losses[n, c, y, x] = -share * class_weight[c] * (1 - own)**gamma * np.log(own)
    return losses


@pytest.mark.parametrize(('classes', 'options', 'alpha', 'class_weight'), [
    (3, {}, [.5] * 3, [1.] * 3),
    (3, dict(gamma=1.5, alpha=.25), [.25] * 3, [1.] * 3),
    (3, dict(alpha=[.1, .2, .7]), [.1, .2, .7], [1.] * 3),
    (3, dict(class_weight=[1., 2., .5]), [.5] * 3, [1., 2., .5]),
    (1, dict(gamma=0.), [.5], [1.]),
])
def test_focal(classes, options, alpha, class_weight):
    logits, labels = example(classes)
    expected = naive_focal(logits, labels, options.get('gamma', 2.), alpha, class_weight)
    loss = FocalLoss(**options)
    np.testing.assert_allclose(loss(logits, labels, reduction_override='none').numpy(), expected, rtol=1e-4, atol=1e-7)
    assert loss(logits, labels).item() == pytest.approx(expected.mean(), rel=1e-5)
    assert loss(logits, labels, reduction_override='sum').item() == pytest.approx(expected.sum(), rel=1e-5)
    assert loss(logits, labels, avg_factor=7).item() == pytest.approx(expected.sum() / 7, rel=1e-5)
    weight = torch.rand(2, 4, 6)
    assert loss(logits, labels, weight).item() == pytest.approx((expected * weight.numpy()[:, None]).mean(), rel=1e-5)


def test_focal_of_a_target_for_each_logit():
    logits, labels = example()
    target = F.one_hot(labels.where(labels != 255, 0), 3).movedim(-1, 1)
    target[:, :, 0] = 255
    torch.testing.assert_close(FocalLoss()(logits, target), FocalLoss()(logits, labels))
    with pytest.raises(ValueError, match=r'\(2, 3, 4, 6\) do not fit labels \(2, 4, 5\)'):
        FocalLoss()(logits, labels[..., :5])
    with pytest.raises(ValueError, match='use_sigmoid=False'):
        FocalLoss(use_sigmoid=False)


def test_focal_functions_of_single_pixels():
    logits, classes = torch.randn(10, 3), torch.randint(0, 3, (10,))
    target, weight, valid = F.one_hot(classes, 3), torch.rand(10), (torch.rand(10, 1) < .7)
    value = sigmoid_focal_loss(logits, classes, target, weight, valid_mask=valid)
    torch.testing.assert_close(value, py_sigmoid_focal_loss(logits, target, weight=weight, valid_mask=valid))
    torch.testing.assert_close(value, FocalLoss()(logits, classes.where(valid[:, 0], 255), weight))


def naive_ohem(logits, labels, thresh, min_kept, class_weight):
    valid = labels != 255
    losses = F.cross_entropy(logits, labels, torch.tensor(class_weight), ignore_index=255, reduction='none')[valid]
    prob = logits.softmax(1).gather(1, labels.where(valid, 0).unsqueeze(1))[:, 0][valid]
    ranked = prob.sort().values
    return losses[prob < max(thresh, ranked[min(min_kept, len(ranked) - 1)])].mean().item()


@pytest.mark.parametrize('thresh', [.2, .7])
@pytest.mark.parametrize('min_kept', [1, 10, 35, 36, 1000])
@pytest.mark.parametrize('class_weight', [[1., 1., 1.], [1., 2., .5]])
def test_hard_pixels(thresh, min_kept, class_weight):
    logits, labels = example()
    loss = OhemCrossEntropy(thres=thresh, min_kept=min_kept, class_weight=class_weight, loss_weight=2)
    expected = naive_ohem(logits, labels, thresh, min_kept, class_weight)
    assert loss(logits, labels).item() == pytest.approx(2 * expected, rel=1e-5)


def test_hard_pixels_of_another_ignored_label():
    logits, labels = example()
    loss = OhemCrossEntropy(min_kept=10)
    assert loss(logits, labels.where(labels != 255, 7), ignore_index=7).item() == loss(logits, labels).item()


def test_depths():
    pred, target = torch.rand(2, 4, 6) + .5, torch.rand(2, 4, 6) + .5
    target[1, :2] = 0  # unknown
    expected = []
    for p, t in zip(pred, target):
        gap = np.log(t[t > 0].numpy()) - np.log(p[t > 0].numpy())
        expected.append(np.sqrt((gap**2).mean() - .5 * gap.mean()**2))
    assert silog_loss(pred, target, reduction='none').tolist() == pytest.approx(expected, rel=1e-5)
    assert SiLogLoss(loss_weight=3)(pred, target).item() == pytest.approx(3 * np.mean(expected), rel=1e-5)
    with pytest.raises(ValueError, match=r'\(2, 4, 6\) do not fit \(2, 4, 5\)'):
        SiLogLoss()(pred, target[..., :5])


@pytest.mark.parametrize('target', [torch.ones(1, 3, 3), torch.zeros(1, 3, 3)], ids=['perfect', 'unknown'])
def test_depths_that_teach_nothing(target):
    pred = torch.ones(1, 3, 3, requires_grad=True)
    value = SiLogLoss()(pred, target)
    value.backward()
    assert value.item() == pytest.approx(0, abs=1e-9)
    assert torch.equal(pred.grad, torch.zeros(1, 3, 3))


@pytest.mark.parametrize('temperature', [1., 4.])
def test_divergence(temperature):
    ours, theirs = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    p, t = (ours / temperature).softmax(1), (theirs / temperature).softmax(1)
    expected = t * (t.log() - p) * temperature**2
    torch.testing.assert_close(KLDivLoss(temperature, 'none')(ours, theirs), expected)
    torch.testing.assert_close(KLDivLoss(temperature, 'sum')(ours, theirs), expected.sum((1, 2)))
    torch.testing.assert_close(KLDivLoss(temperature)(ours, theirs), expected.mean((1, 2)))


def test_divergence_options():
    with pytest.raises(ValueError, match='temperature=0'):
        KLDivLoss(0)
    with pytest.raises(ValueError, match=r'\(2, 3\) do not fit \(2, 4\)'):
        KLDivLoss()(torch.zeros(2, 3), torch.zeros(2, 4))
