"""What every assigner of predictions to instances can do."""
from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from mmengine.structures import InstanceData


class BaseAssigner(ABC):
    """Tells which prediction of an image stands for which of its instances; a subclass defines `assign`."""

    @abstractmethod
    def assign(self, pred_instances: InstanceData, gt_instances: InstanceData,
               gt_instances_ignore: InstanceData | None = None, **kwargs) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the indices of the predictions that were given an instance, and of these instances, (K,) each."""

    def assign_images(self, predictions: Sequence[InstanceData],
                      instances: Sequence[InstanceData]) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Return what :meth:`assign` does for each image of a batch."""
        return [self.assign(prediction, instance) for prediction, instance in zip(predictions, instances)]
