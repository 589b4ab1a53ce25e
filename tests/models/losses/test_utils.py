"""Reduction, class weights, the check of labels."""
import json
import pickle

import numpy as np
import pytest
import torch

from mmseg.models.losses import reduce_loss, weight_reduce_loss, weighted_loss
from mmseg.models.losses import utils as loss_utils
from mmseg.models.losses.utils import SegmentationLoss, check_labels, get_class_weight, one_hot

LOSS = torch.tensor([[1., 2.], [3., 6.]])


@pytest.mark.parametrize(('reduction', 'expected'), [('mean', 3.), ('sum', 12.), ('none', LOSS)])
def test_reduce_loss(reduction, expected):
    assert torch.equal(reduce_loss(LOSS, reduction), torch.as_tensor(expected))


def test_reduce_loss_names_the_choices():
    with pytest.raises(ValueError, match="'avg'.*'none', 'mean', 'sum'"):
        reduce_loss(LOSS, 'avg')


@pytest.mark.parametrize(('weight', 'reduction', 'avg_factor', 'expected'), [
    (None, 'mean', None, 3.),
    ([[0., 1.], [1., 0.]], 'mean', None, 1.25),
    ([[2.], [1.]], 'sum', None, 15.),
    (None, 'mean', 6, 2.),
    (None, 'mean', 0, 12 / torch.finfo(torch.float32).eps),
    ([[0., 1.], [0., 0.]], 'none', 7, [[0., 2.], [0., 0.]]),
])
def test_weight_reduce_loss(weight, reduction, avg_factor, expected):
    weight = None if weight is None else torch.tensor(weight)
    torch.testing.assert_close(weight_reduce_loss(LOSS, weight, reduction, avg_factor), torch.tensor(expected))


def test_weight_reduce_loss_refuses_what_makes_no_sense():
    with pytest.raises(ValueError, match="not with 'sum'"):
        weight_reduce_loss(LOSS, reduction='sum', avg_factor=2)
    with pytest.raises(ValueError, match=r'\(2,\) does not fit a loss of shape \(2, 2\)'):
        weight_reduce_loss(LOSS, torch.ones(2))


def test_weighted_loss_adds_the_arguments_of_reduction():
    @weighted_loss
    def l1_loss(pred, target, scale=1):
        return (pred - target).abs() * scale

    pred, target, weight = torch.tensor([0., 2., 3.]), torch.ones(3), torch.tensor([1., 0., 1.])
    assert l1_loss(pred, target).item() == pytest.approx(4 / 3)
    assert l1_loss(pred, target, weight, reduction='sum', scale=2).item() == 6
    assert l1_loss(pred, target, weight, avg_factor=2).item() == 1.5
    assert l1_loss.__name__ == 'l1_loss'


def test_class_weights_from_lists_and_files(tmp_path):
    weights = [1., 2., .5]
    np.save(tmp_path / 'weights.npy', np.array(weights))
    (tmp_path / 'weights.json').write_text(json.dumps(weights))
    (tmp_path / 'weights.pkl').write_bytes(pickle.dumps(weights))
    assert get_class_weight(None) is None
    assert get_class_weight(np.array(weights)) == weights
    assert get_class_weight(str(tmp_path / 'weights.npy')) == weights
    assert get_class_weight(str(tmp_path / 'weights.json')) == weights
    with pytest.raises(ValueError, match=r'weights\.pkl.*is a pickle.*\.npy'):
        get_class_weight(str(tmp_path / 'weights.pkl'))


def test_one_hot_knows_no_other_class():
    labels = torch.tensor([[0, 2, 255, -1]])
    assert one_hot(labels, 3).int().tolist() == [[[1, 0, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0]]]


def test_options_are_checked():
    with pytest.raises(ValueError, match="reduction='total'"):
        SegmentationLoss('loss_x', reduction='total')
    loss = SegmentationLoss('loss_x', class_weight=[1, 2])
    assert loss.reduction_or(None) == 'mean'
    assert loss.reduction_or('none') == 'none'
    with pytest.raises(ValueError, match="reduction_override='max'"):
        loss.reduction_or('max')
    assert loss.class_weight_on(torch.device('cpu')).tolist() == [1, 2]
    assert loss.state_dict() == {}


def test_check_labels_accepts_classes_and_the_ignored():
    labels = torch.tensor([0, 18, 255])
    assert check_labels(labels, 19, 255) is labels


@pytest.mark.parametrize(('labels', 'ignore_index', 'found'), [
    ([0, 19, 19, 255], 255, r'19 \(2 pixels\), but'),
    ([0, -1, 255], None, r'-1 \(1 pixels\), 255 \(1 pixels\), but'),
    (list(range(19, 40)), 255, r'26 \(1 pixels\) and 13 more values'),
])
def test_check_labels_names_the_others(labels, ignore_index, found):
    with pytest.raises(ValueError, match=found):
        check_labels(torch.tensor(labels), 19, ignore_index)


def test_deferred_check_raises_when_the_verdict_has_arrived(monkeypatch):
    arrived = []

    class Event:
        def record(self):
            pass

        def query(self):
            return bool(arrived)

    monkeypatch.setattr(torch.cuda, 'Event', Event)
    monkeypatch.setattr(torch.cuda, 'is_current_stream_capturing', lambda: False)
    deferred = loss_utils._DeferredCheck()
    labels = torch.tensor([3, 19, 255])
    bad = labels == 19
    for _ in range(2):  # still on its way: the pixel is ignored, nobody waits
        assert deferred.check(labels, bad, 19, 255).tolist() == [3, 255, 255]
    arrived.append(True)
    fine = torch.tensor([0, 1, 2])
    with pytest.raises(ValueError, match=r'19 \(1 pixels\), but num_classes=19'):
        deferred.check(fine, fine < 0, 19, 255)
    assert deferred.check(fine, fine < 0, 19, 255).tolist() == [0, 1, 2]


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_check_on_a_gpu_ends_in_an_error_not_an_assertion():
    labels = torch.tensor([3, 19, 255], device='cuda')
    monitor = loss_utils._DeferredCheck()
    assert monitor.check(labels, labels == 19, 19, 255).tolist() == [3, 255, 255]
    torch.cuda.synchronize()
    with pytest.raises(ValueError, match=r'19 \(1 pixels\)'):
        monitor.check(labels, labels == 19, 19, 255)
