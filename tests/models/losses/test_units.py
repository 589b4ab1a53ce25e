"""Every loss: known figures, ignored pixels, half precision, memory layout, compilation, names."""
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from mmseg.registry import MODELS

FACTS = json.loads((Path(__file__).parents[2] / 'data' / 'loss_units.json').read_text())

# Losses of (N, C, H, W) logits and (N, H, W) classes with the options that a test needs.
SEGMENTATION_LOSSES = {
    'softmax': dict(type='CrossEntropyLoss'),
    'weighted': dict(type='CrossEntropyLoss', class_weight=[1., 2., .5, .25, 3.]),
    'sigmoid': dict(type='CrossEntropyLoss', use_sigmoid=True, avg_non_ignore=True),
    'dice': dict(type='DiceLoss', mask_ignored=True),
    'focal': dict(type='FocalLoss'),
    'tversky': dict(type='TverskyLoss'),
    'lovasz': dict(type='LovaszLoss', reduction='none'),
    'ohem': dict(type='OhemCrossEntropy', min_kept=100),
}
ALL_LOSSES = ('CrossEntropyLoss', 'DiceLoss', 'FocalLoss', 'TverskyLoss', 'OhemCrossEntropy', 'BoundaryLoss',
              'HuasdorffDisstanceLoss', 'SiLogLoss', 'KLDivLoss')


def make_logits(seed, classes, shape=(17, 23)):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((2, classes, *shape)).astype(np.float32))


def make_labels(classes, ignored, shape=(17, 23)):
    labels = np.random.default_rng(60).integers(0, max(classes, 2), (2, *shape))
    if ignored:
        labels[:, :3] = 255
    return torch.from_numpy(labels)


def inputs_of(fact):
    logits = make_logits(50, fact['classes'])
    if fact['type'] == 'SiLogLoss':
        return logits.abs()[:, 0] + 0.5, make_logits(59, 1).abs()[:, 0] + 0.5
    labels = make_labels(fact['classes'], fact['ignored'])
    return logits, (labels == 1).long() if fact['type'] == 'BoundaryLoss' else labels


@pytest.mark.parametrize('fact', FACTS, ids=lambda fact: f'{fact["type"]}-{fact["kwargs"]}')
def test_known_figures(fact):
    value = MODELS.build(dict(type=fact['type'], **fact['kwargs']))(*inputs_of(fact), **fact['call'])
    assert value.dim() == 0
    assert value.item() == pytest.approx(fact['value'], rel=1e-5)


@pytest.mark.parametrize('name', SEGMENTATION_LOSSES)
def test_ignored_pixels_neither_count_nor_learn(name):
    loss = MODELS.build(SEGMENTATION_LOSSES[name])
    labels = make_labels(5, ignored=True)
    logits = make_logits(50, 5).requires_grad_()
    other = logits.detach().clone()
    other[:, :, :3] = make_logits(51, 5)[:, :, :3]
    value = loss(logits, labels, ignore_index=255)
    value.backward()
    assert loss(other, labels, ignore_index=255).item() == pytest.approx(value.item(), rel=1e-6)
    assert logits.grad[:, :, :3].abs().max() == 0
    assert logits.grad[:, :, 3:].abs().max() > 0


@pytest.mark.parametrize('name', SEGMENTATION_LOSSES)
def test_wholly_ignored_images_give_zero(name):
    logits = make_logits(50, 5).requires_grad_()
    value = MODELS.build(SEGMENTATION_LOSSES[name])(logits, torch.full((2, 17, 23), 255), ignore_index=255)
    value.backward()
    expected = 1 if name == 'dice' else 0  # nothing there, nothing found: no overlap
    assert value.item() == pytest.approx(expected)
    assert torch.equal(logits.grad, torch.zeros_like(logits))


@pytest.mark.parametrize('name', SEGMENTATION_LOSSES)
def test_labels_outside_the_classes_are_named(name):
    labels = make_labels(5, ignored=True)
    labels[0, 5, :4] = 7
    labels[1, 6, :2] = 19
    with pytest.raises(ValueError, match=r'7 \(4 pixels\), 19 \(2 pixels\).*num_classes=5 allows 0 to 4'):
        MODELS.build(SEGMENTATION_LOSSES[name])(make_logits(50, 5), labels, ignore_index=255)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
@pytest.mark.parametrize('name', SEGMENTATION_LOSSES)
def test_half_precision_is_summed_in_float32(name, dtype):
    loss = MODELS.build(SEGMENTATION_LOSSES[name])
    logits, labels = make_logits(50, 5).to(dtype), make_labels(5, ignored=True)
    value = loss(logits, labels, ignore_index=255)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(loss(logits.float(), labels, ignore_index=255).item(), rel=1e-6)


@pytest.mark.parametrize('name', SEGMENTATION_LOSSES)
def test_memory_layout_does_not_matter(name):
    loss = MODELS.build(SEGMENTATION_LOSSES[name])
    logits, labels = make_logits(50, 5), make_labels(5, ignored=True)
    value = loss(logits.contiguous(memory_format=torch.channels_last), labels, ignore_index=255)
    assert value.item() == pytest.approx(loss(logits, labels, ignore_index=255).item(), rel=1e-5)


@pytest.mark.parametrize('name', sorted(set(SEGMENTATION_LOSSES) - {'lovasz'}))  # which sorts what is present only
def test_one_graph_without_waiting_for_values(name):
    loss = MODELS.build(SEGMENTATION_LOSSES[name])
    logits, labels = make_logits(50, 5), make_labels(5, ignored=True)
    value = torch.compile(loss, backend='eager', fullgraph=True)(logits, labels, ignore_index=255)
    assert value.item() == pytest.approx(loss(logits, labels, ignore_index=255).item(), rel=1e-6)


@pytest.mark.parametrize('type_', ALL_LOSSES)
def test_names_must_be_those_of_losses(type_):
    assert MODELS.build(dict(type=type_, loss_name='loss_x')).loss_name == 'loss_x'
    with pytest.raises(ValueError, match="'detail' must begin with 'loss_'.*'loss_detail'"):
        MODELS.build(dict(type=type_, loss_name='detail'))


@pytest.mark.parametrize('type_', sorted(set(ALL_LOSSES) - {'KLDivLoss', 'SiLogLoss', 'BoundaryLoss'}))
def test_loss_weight_is_a_factor(type_):
    logits, labels = make_logits(50, 5), make_labels(5, ignored=False)
    one, three = (MODELS.build(dict(type=type_, loss_weight=weight))(logits, labels) for weight in (1., 3.))
    assert three.item() == pytest.approx(3 * one.item())
