"""Matching costs against their formulas, the assigner against every possible assignment."""
from itertools import permutations

import pytest
import torch
import torch.nn.functional as F
from mmengine.structures import InstanceData

from mmseg.models.assigners import HungarianAssigner
from mmseg.registry import TASK_UTILS

COSTS = [dict(type='ClassificationCost', weight=2.0), dict(type='CrossEntropyLossCost', weight=5.0),
         dict(type='DiceCost', weight=5.0, pred_act=True, eps=1.0)]


def example(queries=4, masks=3, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    prediction = InstanceData(scores=torch.randn(queries, 6, generator=generator).to(dtype),
                              masks=3 * torch.randn(queries, 5, 7, generator=generator).to(dtype))
    truth = InstanceData(labels=torch.randint(0, 5, (masks,), generator=generator),
                         masks=torch.rand(masks, 5, 7, generator=generator).round())
    return prediction, truth


def of_pair(kind, scores, logits, label, target, **options):
    """The cost of one query for one mask."""
    prob = logits.sigmoid()
    if kind == 'ClassificationCost':
        return -scores.softmax(0)[label]
    if kind == 'CrossEntropyLossCost':
        return F.binary_cross_entropy_with_logits(logits, target)
    if kind == 'FocalLossCost':
        positive, negative = -0.25 * (1 - prob)**2 * prob.log(), -0.75 * prob**2 * (1 - prob).log()
        return (target * positive + (1 - target) * negative).mean()
    mask = prob if options.get('pred_act') else logits
    power = 1 if options.get('naive_dice', True) else 2
    eps = options.get('eps', 1e-3)
    return 1 - (2 * (mask * target).sum() + eps) / ((mask**power).sum() + target.sum() + eps)


@pytest.mark.parametrize('config', [
    *COSTS, dict(type='FocalLossCost', binary_input=True, weight=20.0), dict(type='DiceCost', pred_act=True),
    dict(type='DiceCost', naive_dice=False, pred_act=True, weight=3)], ids=str)
def test_costs_of_each_pair(config):
    prediction, truth = example()
    options = dict(config)
    kind, weight = options.pop('type'), options.pop('weight', 1)
    expected = torch.stack([torch.stack([
        weight * of_pair(kind, scores, logits, label, target, **options)
        for label, target in zip(truth.labels, truth.masks)])
        for scores, logits in zip(prediction.scores, prediction.masks)])
    torch.testing.assert_close(TASK_UTILS.build(config)(prediction, truth), expected, rtol=1e-4, atol=1e-5)


def test_focal_cost_of_classes_is_what_a_positive_costs_more_than_a_negative():
    prediction, truth = example()
    prob = prediction.scores.sigmoid()
    expected = (-0.25 * (1 - prob)**2 * prob.log() + 0.75 * prob**2 * (1 - prob).log())[:, truth.labels]
    torch.testing.assert_close(TASK_UTILS.build(dict(type='FocalLossCost'))(prediction, truth), expected)


@pytest.mark.parametrize('scope', ['', 'mmseg.', 'mmdet.'])
@pytest.mark.parametrize('name', ['HungarianAssigner', 'ClassificationCost', 'CrossEntropyLossCost', 'DiceCost',
                                  'FocalLossCost'])
def test_names(scope, name):
    assert TASK_UTILS.get(scope + name).__name__ == name
    assert TASK_UTILS.get(scope + name).__module__.startswith('mmseg.')


@pytest.mark.parametrize(('queries', 'masks'), [(4, 3), (5, 5), (3, 4), (6, 1)])
@pytest.mark.parametrize('seed', range(3))
def test_no_assignment_is_cheaper(queries, masks, seed):
    prediction, truth = example(queries, masks, seed=seed)
    assigner = HungarianAssigner(COSTS)
    cost = sum(c(prediction, truth) for c in assigner.match_costs)
    found = assigner.assign(prediction, truth)
    assert found[0].tolist() == sorted(set(found[0].tolist())) and len(set(found[1].tolist())) == min(queries, masks)
    wide = cost if queries >= masks else cost.t()
    cheapest = min(sum(wide[row, column] for column, row in enumerate(rows))
                   for rows in permutations(range(len(wide)), wide.shape[1]))
    torch.testing.assert_close(cost[found].sum(), cheapest)


def test_images_of_a_batch_are_matched_by_themselves():
    pairs = [example(4, 3), example(4, 2, seed=1), example(4, 4, seed=2)]
    assigner = HungarianAssigner(COSTS)
    together = assigner.assign_images(*map(list, zip(*pairs)))
    for (query, mask), pair in zip(together, pairs):
        assert [query.tolist(), mask.tolist()] == [part.tolist() for part in assigner.assign(*pair)]
    assert assigner.assign_images([], []) == []


def test_costs_are_exact_under_autocast():
    """Sums of many pixels: half precision would round the small differences off."""
    prediction, truth = example(dtype=torch.bfloat16)
    exact = InstanceData(scores=prediction.scores.float(), masks=prediction.masks.float())
    assigner = HungarianAssigner([*COSTS, dict(type='FocalLossCost', binary_input=True)])
    with torch.autocast('cpu', torch.bfloat16):
        under = assigner._cost(prediction, truth)
    assert under.dtype == torch.float32
    torch.testing.assert_close(under, assigner._cost(exact, truth), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_an_overflow_does_not_stop_the_training(value):
    prediction, truth = example()
    prediction.masks[1] = value
    query, mask = HungarianAssigner(COSTS).assign(prediction, truth)
    assert sorted(mask.tolist()) == [0, 1, 2] and 1 not in query.tolist()


def test_errors():
    with pytest.raises(ValueError, match='match_costs is empty'):
        HungarianAssigner([])
    with pytest.raises(ValueError, match='use_sigmoid=False'):
        TASK_UTILS.build(dict(type='CrossEntropyLossCost', use_sigmoid=False))
