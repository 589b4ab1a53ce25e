import pytest
import torch
from mmengine.structures import InstanceData, PixelData

from mmseg.structures import SegDataSample
from mmseg.utils.mask_classification import MatchMasks, MatchWholeMasks, seg_data_to_instance_data

ASSIGNER = dict(type='mmdet.HungarianAssigner', match_costs=[
    dict(type='mmdet.ClassificationCost'), dict(type='mmdet.CrossEntropyLossCost', weight=5.0)])


def sample(label):
    return SegDataSample(metainfo=dict(img_shape=(2, 3)), gt_sem_seg=PixelData(data=torch.tensor([label])))


def test_a_label_map_becomes_masks():
    instances, metas = seg_data_to_instance_data(255, [sample([[4, 4, 255], [0, 4, 7]]), sample([[255] * 3] * 2)])
    assert instances[0].labels.tolist() == [0, 4, 7]
    assert instances[0].masks.tolist() == [[[0, 0, 0], [1, 0, 0]], [[1, 1, 0], [0, 1, 0]], [[0, 0, 0], [0, 0, 1]]]
    assert instances[1].labels.tolist() == [] and instances[1].masks.shape == (0, 2, 3)
    assert [meta['img_shape'] for meta in metas] == [(2, 3)] * 2


@pytest.mark.parametrize('ignore_index', [0, -1])
def test_any_label_can_be_the_ignored_one(ignore_index):
    (instance,), _ = seg_data_to_instance_data(ignore_index, [sample([[-1, 0, 3]])])
    assert instance.labels.tolist() == [value for value in (-1, 0, 3) if value != ignore_index]


def predictions():
    """Five queries, of which 3 and 1 draw the two masks of the first image, and 4 that of the third."""
    masks = torch.zeros(3, 2, 8, 12)
    masks[0, 0, :4], masks[0, 1, 4:], masks[2, 0, :, 6:] = 1, 1, 1
    instances = [InstanceData(labels=torch.tensor([2, 0]), masks=masks[0]),
                 InstanceData(labels=torch.empty(0, dtype=torch.long), masks=masks[1, :0]),
                 InstanceData(labels=torch.tensor([1]), masks=masks[2, :1])]
    logits = torch.full((3, 5, 4, 6), -8.)
    for image, query, mask in ((0, 3, masks[0, 0]), (0, 1, masks[0, 1]), (2, 4, masks[2, 0])):
        logits[image, query] = 16 * mask[::2, ::2] - 8
    return torch.zeros(3, 5, 4), logits, instances


@pytest.mark.parametrize('make', [lambda: MatchMasks(200, 5, 3, ASSIGNER), lambda: MatchWholeMasks(5, 3, ASSIGNER)])
def test_targets_of_matched_queries(make):
    scores, logits, instances = predictions()
    labels, masks, weights, count = make().get_targets(scores, logits, instances)
    assert labels.tolist() == [[3, 0, 3, 2, 3], [3] * 5, [3, 3, 3, 3, 1]]
    assert torch.equal(masks, torch.stack([instances[0].masks[1], instances[0].masks[0], instances[2].masks[0]]))
    assert weights.tolist() == [[0, 1, 0, 1, 0], [0] * 5, [0, 0, 0, 0, 1]]
    assert count == 3


def test_nothing_to_match():
    scores, logits, instances = predictions()
    labels, masks, weights, count = MatchMasks(20, 5, 3, ASSIGNER).get_targets(scores, logits, [instances[1]] * 3)
    assert labels.unique().tolist() == [3] and masks.shape == (0, 8, 12) and weights.sum() == count == 0


def test_more_masks_than_queries():
    masks = torch.eye(6).view(6, 2, 3)
    instance = InstanceData(labels=torch.arange(6), masks=masks)
    logits = 20 * masks[None, [4, 2]] - 10
    matcher = MatchWholeMasks(2, 6, ASSIGNER)
    labels, found, weights, count = matcher.get_targets(torch.zeros(1, 2, 7), logits, [instance])
    assert labels.tolist() == [[4, 2]] and torch.equal(found, masks[[4, 2]]) and count == 2


def test_an_assigner_of_ones_own_needs_only_assign():
    from mmseg.models.assigners import BaseAssigner
    from mmseg.registry import TASK_UTILS

    @TASK_UTILS.register_module(name='FirstCome', force=True)
    class FirstCome(BaseAssigner):
        def assign(self, pred_instances, gt_instances, gt_instances_ignore=None, **kwargs):
            index = torch.arange(len(gt_instances.labels))
            return index, index

    labels, *_ = MatchMasks(9, 5, 3, dict(type='FirstCome')).get_targets(*predictions())
    assert labels.tolist() == [[2, 0, 3, 3, 3], [3] * 5, [1, 3, 3, 3, 3]]


def test_an_assigner_is_needed():
    with pytest.raises(ValueError, match='without an assigner'):
        MatchMasks(20, 5, 3)
