"""The matching of DETR, End-to-End Object Detection with Transformers, https://arxiv.org/abs/2005.12872."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.structures import InstanceData
from scipy.optimize import linear_sum_assignment

from mmseg.models.assigners.base_assigner import BaseAssigner
from mmseg.registry import TASK_UTILS
from mmseg.utils.typing_utils import ConfigType


@TASK_UTILS.register_module()
class HungarianAssigner(BaseAssigner):
    """Give each instance a prediction of its own so that the sum of costs is the smallest possible.

    Args:
        match_costs: config of a cost, or a list of configs, which are added up.
    """

    def __init__(self, match_costs: Sequence[ConfigType] | ConfigType):
        configs = [match_costs] if isinstance(match_costs, dict) else list(match_costs)
        if not configs:
            raise ValueError('match_costs is empty: give at least one cost, such as dict(type="ClassificationCost")')
        self.match_costs = [TASK_UTILS.build(config) for config in configs]

    def assign(self, pred_instances: InstanceData, gt_instances: InstanceData,
               **kwargs) -> tuple[torch.Tensor, torch.Tensor]:
        """Return indices of predictions, in ascending order, and of their instances, (K,) each on the instances'
        device. K is the smaller of both numbers; what :class:`BaseMatchCost` needs of each is told there."""
        (prediction, instance), = self.assign_images([pred_instances], [gt_instances], **kwargs)
        device = gt_instances.labels.device
        return prediction.to(device), instance.to(device)

    @torch.no_grad()
    def assign_images(self, predictions: Sequence[InstanceData], instances: Sequence[InstanceData],
                      **kwargs) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Match every image of a batch, whose costs a GPU hands over at once; the indices are on the CPU."""
        costs = [self._cost(*pair, **kwargs) for pair in zip(predictions, instances)]
        if not costs:
            return []
        together = torch.cat([cost.flatten() for cost in costs]).cpu()
        # An overflow of half precision is no reason to stop: the loss will be no number either, and be skipped.
        together = torch.nan_to_num(together, nan=1e9, posinf=1e9, neginf=-1e9)
        parts = together.split([cost.numel() for cost in costs])
        return [tuple(map(torch.from_numpy, linear_sum_assignment(part.view(cost.shape).numpy())))
                for part, cost in zip(parts, costs)]

    def _cost(self, prediction: InstanceData, instance: InstanceData, **kwargs) -> torch.Tensor:
        """The sum of all costs of each prediction for each instance, (Q, G)."""
        # Autocast would sum thousands of pixels in half precision.
        with torch.autocast(instance.labels.device.type, enabled=False):
            return sum(cost(pred_instances=prediction, gt_instances=instance, **kwargs) for cost in self.match_costs)
