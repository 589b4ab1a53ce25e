"""Overlap of classes that may share pixels."""
import numpy as np
import pytest
import torch

from mmseg.evaluation import MultiLabelIoUMetric


def sample(pred, label):
    return dict(pred_sem_seg=dict(data=torch.as_tensor(pred)), gt_sem_seg=dict(data=torch.as_tensor(label)))


def test_each_class_counts_for_itself():
    rng = np.random.default_rng(0)
    preds, labels = rng.integers(0, 2, (4, 3, 9, 11)), rng.integers(0, 2, (4, 3, 9, 11))
    labels[:, 1, :3] = 255
    metric = MultiLabelIoUMetric(iou_metrics=['mIoU', 'mDice'])
    metric.dataset_meta = dict(classes=('a', 'b', 'c'))
    metric.process({}, [sample(pred, label) for pred, label in zip(preds, labels)])
    figures = metric.evaluate(4)
    ious, dices = [], []
    for c in range(3):
        valid = labels[:, c] != 255
        pred, label = preds[:, c][valid] == 1, labels[:, c][valid] == 1
        ious.append((pred & label).sum() / (pred | label).sum())
        dices.append(2 * (pred & label).sum() / (pred.sum() + label.sum()))
    assert figures['mIoU'] == pytest.approx(100 * np.mean(ious), abs=0.01)
    assert figures['mDice'] == pytest.approx(100 * np.mean(dices), abs=0.01)


def test_labels_of_one_band_are_refused():
    metric = MultiLabelIoUMetric()
    metric.dataset_meta = dict(classes=('a', 'b', 'c'))
    with pytest.raises(ValueError, match='LoadMultiLabelAnnotations'):
        metric.process({}, [sample(np.zeros((1, 4, 4), int), np.zeros((1, 4, 4), int))])
