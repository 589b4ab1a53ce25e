"""Training by masks: MaskFormer, Per-Pixel Classification is Not All You Need, https://arxiv.org/abs/2107.06278.

A label map becomes one mask for each class that it shows; each mask is then matched with one query.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmengine.structures import InstanceData

from mmseg.ops import point_sample
from mmseg.ops.wrong_labels import wrong_labels
from mmseg.registry import TASK_UTILS
from mmseg.utils.typing_utils import ConfigType, SampleList


def seg_data_to_instance_data(ignore_index: int,
                              batch_data_samples: SampleList) -> tuple[list[InstanceData], list[dict]]:
    """Take each image's label map to the masks of its classes.

    Returns:
        For each image `labels` (G,), ascending, and `masks` (G, H, W), uint8, 0 or 1; and the images' metas.
    """
    instances = []
    for sample in batch_data_samples:
        label = sample.gt_sem_seg.data.reshape(sample.gt_sem_seg.data.shape[-2:])
        classes = _values(label)
        classes = classes[classes != ignore_index]
        masks = (label == classes[:, None, None]).to(torch.uint8)  # G H W
        instances.append(InstanceData(labels=classes, masks=masks))
    return instances, [sample.metainfo for sample in batch_data_samples]


def check_instances(instances: Sequence[InstanceData], batch_data_samples: SampleList, num_classes: int,
                    ignore_index: int) -> None:
    """See to it that the labels of :func:`seg_data_to_instance_data` are classes.

    Raises:
        ValueError: some are not; the message lists them with their numbers of pixels.
    """
    classes = torch.cat([instance.labels for instance in instances])
    wrong = classes[(classes < 0) | (classes >= num_classes)]
    if len(wrong):
        label = torch.cat([sample.gt_sem_seg.data.flatten() for sample in batch_data_samples])
        raise wrong_labels(label[torch.isin(label, wrong)], num_classes, ignore_index)


def _values(label: torch.Tensor) -> torch.Tensor:
    """The values of a label map in ascending order: counted, which is many times faster than sorting them."""
    label = label.flatten().long()
    least = label.min()
    return (label - least).bincount().nonzero()[:, 0] + least


class Matches(NamedTuple):
    """Which query of a batch stands for which mask.

    Args:
        labels: (B, Q) class that each query shall say, `num_classes` where it stands for nothing.
        query: (K,) the matched queries, counted over the batch: image * Q + query.
        mask: (K,) their masks, counted over the batch.
    """

    labels: torch.Tensor
    query: torch.Tensor
    mask: torch.Tensor


class MatchMasks:
    """Matches queries with masks by comparing them at random points.

    Args:
        num_points: the number of points.
        num_queries: of each image.
        num_classes: the class of a query that stands for nothing.
        assigner: config of an assigner, such as :class:`HungarianAssigner`.
    """

    def __init__(self, num_points: int, num_queries: int, num_classes: int, assigner: ConfigType | None = None):
        if assigner is None:
            raise ValueError('queries cannot be matched with masks without an assigner: give one in train_cfg, such as '
                             "dict(type='HungarianAssigner', match_costs=[dict(type='ClassificationCost'), …])")
        self.num_points = num_points
        self.num_queries = num_queries
        self.num_classes = num_classes
        self.assigner = TASK_UTILS.build(assigner)

    def get_targets(self, cls_scores: torch.Tensor, mask_preds: torch.Tensor,
                    batch_gt_instances: Sequence[InstanceData]) -> tuple:
        """Return what the queries of a batch shall learn.

        Args:
            cls_scores: (B, Q, num_classes + 1) logits.
            mask_preds: (B, Q, h, w) logits.
            batch_gt_instances: `labels` (G,) and `masks` (G, H, W) of each image.

        Returns:
            The class of each query (B, Q), the masks of the matched ones (K, H, W) in the order of the queries, 1 for
            these and 0 for other queries (B, Q), and K.
        """
        matches = self.match(cls_scores, mask_preds, batch_gt_instances)
        weights = mask_preds.new_zeros(matches.labels.numel())
        weights[matches.query] = 1
        targets = torch.cat([instance.masks for instance in batch_gt_instances])[matches.mask]
        return matches.labels, targets, weights.view_as(matches.labels), len(matches.query)

    @torch.no_grad()
    def match(self, cls_scores: torch.Tensor, mask_preds: torch.Tensor,
              batch_gt_instances: Sequence[InstanceData]) -> Matches:
        """Match the queries of a batch; arguments as of :meth:`get_targets`."""
        images = [i for i, instance in enumerate(batch_gt_instances) if len(instance.labels)]
        predictions, instances = [], []
        for i in images:
            predicted, target = self._compared(mask_preds[i].detach(), batch_gt_instances[i].masks)
            predictions.append(InstanceData(scores=cls_scores[i].detach(), masks=predicted))
            instances.append(InstanceData(labels=batch_gt_instances[i].labels, masks=target))
        pairs = dict(zip(images, self.assigner.assign_images(predictions, instances)))

        query, mask, masks_before = [], [], 0
        for i, instance in enumerate(batch_gt_instances):
            if i in pairs:
                query.append(pairs[i][0] + i * self.num_queries)
                mask.append(pairs[i][1] + masks_before)
            masks_before += len(instance.labels)
        device = mask_preds.device
        query, mask = (torch.cat(part).to(device) if part else torch.empty(0, dtype=torch.long, device=device)
                       for part in (query, mask))
        labels = torch.full((len(batch_gt_instances) * self.num_queries,), self.num_classes, device=device)
        labels[query] = torch.cat([instance.labels for instance in batch_gt_instances])[mask]
        return Matches(labels.view(-1, self.num_queries), query, mask)

    def _compared(self, predicted: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What of (Q, h, w) and (G, H, W) is compared: (Q, P) and (G, P), here at random points."""
        points = torch.rand((1, self.num_points, 2), device=predicted.device)
        return point_sample(predicted[None], points)[0], point_sample(target[None].float(), points)[0]


class MatchWholeMasks(MatchMasks):
    """Matches queries with masks by comparing all places of the queries' masks; arguments as :class:`MatchMasks`."""

    def __init__(self, num_queries: int, num_classes: int, assigner: ConfigType | None = None):
        super().__init__(0, num_queries, num_classes, assigner)

    def _compared(self, predicted: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return predicted.flatten(1), F.interpolate(target[None], predicted.shape[1:], mode='nearest')[0].flatten(1)
