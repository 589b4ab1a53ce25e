"""Cross-entropy against sums written out pixel by pixel."""
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmseg.models.losses import CrossEntropyLoss, binary_cross_entropy, cross_entropy, mask_cross_entropy

CLASS_WEIGHT = [1., 2., .5, .25]


def example(seed=0):
    rng = np.random.default_rng(seed)
    logits = rng.standard_normal((2, 4, 3, 5))
    labels = rng.integers(0, 4, (2, 3, 5))
    labels[:, 0] = 255
    return logits, labels, rng.random((2, 3, 5))


@pytest.mark.parametrize('avg_non_ignore', [False, True])
@pytest.mark.parametrize('weighted', [False, True])
@pytest.mark.parametrize('class_weight', [None, CLASS_WEIGHT])
@pytest.mark.parametrize('ignore_index', [255, 1])
def test_softmax_mean(avg_non_ignore, weighted, class_weight, ignore_index):
    logits, labels, pixel_weights = example()
    if ignore_index == 1:
        labels[labels == 255] = 1
    total = divisor = 0.
    for n, y, x in np.ndindex(labels.shape):
        label = labels[n, y, x]
        importance = 1. if class_weight is None else class_weight[label] if label < 4 else 0.
        if not (avg_non_ignore and label == ignore_index):
            divisor += importance
        if label != ignore_index:
            loss = np.log(np.exp(logits[n, :, y, x]).sum()) - logits[n, label, y, x]
            total += loss * importance * (pixel_weights[n, y, x] if weighted else 1)
    value = CrossEntropyLoss(class_weight=class_weight, avg_non_ignore=avg_non_ignore, loss_weight=.5)(
        torch.tensor(logits), torch.tensor(labels), torch.tensor(pixel_weights) if weighted else None,
        ignore_index=ignore_index)
    assert value.item() == pytest.approx(.5 * total / divisor, rel=1e-6)


def test_softmax_reductions():
    logits, labels, _ = example()
    logits, labels = torch.tensor(logits), torch.tensor(labels)
    each = F.cross_entropy(logits, labels, ignore_index=255, reduction='none')
    loss = CrossEntropyLoss(reduction='sum')
    assert loss(logits, labels, ignore_index=255).item() == pytest.approx(each.sum().item())
    assert torch.equal(loss(logits, labels, reduction_override='none', ignore_index=255), each)
    assert loss(logits, labels, avg_factor=4, reduction_override='mean', ignore_index=255).item() == pytest.approx(
        each.sum().item() / 4)
    with pytest.raises(ValueError, match='avg_factor'):
        loss(logits, labels, avg_factor=4, ignore_index=255)


def test_softmax_agrees_with_pytorch():
    logits, labels, _ = example()
    logits, labels, weight = torch.tensor(logits), torch.tensor(labels), torch.tensor(CLASS_WEIGHT).double()
    for class_weight in (None, weight):
        value = cross_entropy(logits, labels, class_weight=class_weight, ignore_index=255, avg_non_ignore=True)
        assert value.item() == pytest.approx(F.cross_entropy(logits, labels, class_weight, ignore_index=255).item())


def test_softmax_keeps_no_map_of_losses():
    logits, labels = torch.randn(1, 4, 8, 8, requires_grad=True), torch.zeros(1, 8, 8, dtype=torch.long)
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: saved.append(x.numel()) or x, lambda x: x):
        cross_entropy(logits, labels, avg_non_ignore=True)
    plain = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: plain.append(x.numel()) or x, lambda x: x):
        F.cross_entropy(logits, labels)
    assert sum(size for size in saved if size > 1) == sum(size for size in plain if size > 1)


@pytest.mark.parametrize('avg_non_ignore', [False, True])
@pytest.mark.parametrize('weighted', [False, True])
@pytest.mark.parametrize('class_weight', [None, CLASS_WEIGHT])
def test_sigmoid_mean(avg_non_ignore, weighted, class_weight):
    logits, labels, pixel_weights = example()
    labels[1, 2, 0] = -1  # below zero is ignored, too
    total = divisor = 0.
    for n, y, x in np.ndindex(labels.shape):
        valid = labels[n, y, x] in range(4)
        divisor += 4 * (valid or not avg_non_ignore)
        for c in range(4 if valid else 0):
            prob = 1 / (1 + np.exp(-logits[n, c, y, x]))
            positive = 1. if class_weight is None else class_weight[c]
            loss = -positive * np.log(prob) if labels[n, y, x] == c else -np.log(1 - prob)
            total += loss * (pixel_weights[n, y, x] if weighted else 1)
    value = CrossEntropyLoss(use_sigmoid=True, class_weight=class_weight, avg_non_ignore=avg_non_ignore)(
        torch.tensor(logits), torch.tensor(labels), torch.tensor(pixel_weights) if weighted else None, ignore_index=255)
    assert value.item() == pytest.approx(total / divisor, rel=1e-6)


def test_sigmoid_of_one_channel_is_that_of_class_1():
    logits = torch.randn(2, 1, 3, 5)
    labels = torch.randint(0, 2, (2, 3, 5))
    labels[0, 0] = 255
    each = CrossEntropyLoss(use_sigmoid=True)(logits, labels, reduction_override='none', ignore_index=255)
    expected = F.binary_cross_entropy_with_logits(logits[:, 0], (labels == 1).float(), reduction='none')
    expected[labels == 255] = 0
    torch.testing.assert_close(each, expected)
    with pytest.raises(ValueError, match=r'2 \(1 pixels\)'):
        CrossEntropyLoss(use_sigmoid=True)(logits[:1, :, :1, :1], torch.full((1, 1, 1), 2))


@pytest.mark.parametrize('shape', [(6,), (2, 4), (2, 4, 3, 5)])
def test_sigmoid_with_a_target_for_each_logit(shape):
    logits, target = torch.randn(shape), torch.randint(0, 2, shape).float()
    valid = torch.rand(shape) < .7
    value = binary_cross_entropy(logits, target.where(valid, 255), ignore_index=255, avg_non_ignore=True)
    expected = F.binary_cross_entropy_with_logits(logits[valid], target[valid])
    assert value.item() == pytest.approx(expected.item(), rel=1e-6)
    assert binary_cross_entropy(logits, target, avg_factor=2).item() == pytest.approx(
        F.binary_cross_entropy_with_logits(logits, target, reduction='sum').item() / 2, rel=1e-6)


def test_sigmoid_refuses_other_shapes():
    with pytest.raises(ValueError, match=r'logits \(2, 4, 3, 5\) do not fit labels \(2, 2, 3, 5\)'):
        binary_cross_entropy(torch.zeros(2, 4, 3, 5), torch.zeros(2, 2, 3, 5))


def test_masks_of_regions():
    logits, target = torch.randn(3, 4, 2, 2), torch.randint(0, 2, (3, 2, 2)).float()
    labels = torch.tensor([0, 3, 1])
    chosen = torch.stack([logits[0, 0], logits[1, 3], logits[2, 1]])
    value = CrossEntropyLoss(use_mask=True)(logits, target, labels, ignore_index=None)
    assert value.shape == (1,)
    assert value.item() == pytest.approx(F.binary_cross_entropy_with_logits(chosen, target).item())
    weight = torch.tensor(CLASS_WEIGHT)
    weighted = F.binary_cross_entropy_with_logits(chosen, target, weight[labels].view(3, 1, 1)).item()
    assert mask_cross_entropy(logits, target, labels, class_weight=weight).item() == pytest.approx(weighted)
    target[0] = 255
    expected = F.binary_cross_entropy_with_logits(chosen[1:], target[1:]).item()
    assert CrossEntropyLoss(use_mask=True)(logits, target, labels, ignore_index=255).item() == pytest.approx(expected)
    with pytest.raises(ValueError, match="not 'sum'"):
        mask_cross_entropy(logits, target, labels, reduction='sum')


def test_kinds_exclude_each_other():
    with pytest.raises(ValueError, match='use_sigmoid=True and use_mask=True'):
        CrossEntropyLoss(use_sigmoid=True, use_mask=True)


@pytest.mark.parametrize('use_sigmoid', [False, True])
def test_autocast(use_sigmoid):
    layer = torch.nn.Conv2d(3, 4, 1)
    images, labels = torch.randn(1, 3, 4, 4), torch.randint(0, 4, (1, 4, 4))
    with torch.autocast('cpu', torch.bfloat16):
        logits = layer(images)
        value = CrossEntropyLoss(use_sigmoid=use_sigmoid)(logits, labels)
    assert (logits.dtype, value.dtype) == (torch.bfloat16, torch.float32)
    assert value.item() == pytest.approx(CrossEntropyLoss(use_sigmoid=use_sigmoid)(logits.float(), labels).item())
