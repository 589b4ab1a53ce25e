import pickle
from functools import partial

import pytest
import torch
from mmengine.structures import PixelData

from mmseg.structures import SegDataSample


def logits_of(fill):
    return torch.full((3, 2, 2), float(fill))


def test_promised_logits_are_computed_once_when_read():
    calls = []
    sample = SegDataSample(pred_sem_seg=PixelData(data=torch.zeros(1, 2, 2)))
    sample.defer_logits(lambda: calls.append(1) or logits_of(7))
    assert 'seg_logits' not in sample and 'seg_logits' not in sample.to_dict() and not calls
    assert sample.seg_logits.data.sum() == 84 and sample.seg_logits.shape == (2, 2)
    assert len(calls) == 1


@pytest.mark.parametrize('copy', ['cpu', 'clone', 'detach'])
def test_copies_keep_the_promise(copy):
    sample = SegDataSample()
    sample.defer_logits(partial(logits_of, 2))
    assert getattr(sample, copy)().seg_logits.data[0, 0, 0] == 2


def test_promise_survives_pickling():
    sample = SegDataSample(metainfo=dict(ori_shape=(2, 2)))
    sample.defer_logits(partial(logits_of, 2))
    assert pickle.loads(pickle.dumps(sample)).seg_logits.data.sum() == 24


def test_promised_logits_follow_the_labels_to_numpy():
    sample = SegDataSample(pred_sem_seg=PixelData(data=torch.zeros(1, 2, 2)))
    sample.defer_logits(partial(logits_of, 2))
    assert sample.numpy().seg_logits.data.tolist() == logits_of(2).tolist()


def test_fields_are_typed_and_deletable():
    sample = SegDataSample(gt_sem_seg=PixelData(data=torch.ones(1, 4, 4)))
    assert sample.gt_sem_seg.shape == (4, 4)
    with pytest.raises(AssertionError):
        sample.pred_sem_seg = torch.ones(1, 4, 4)
    del sample.gt_sem_seg
    assert 'gt_sem_seg' not in sample
    with pytest.raises(AttributeError):
        _ = sample.seg_logits
