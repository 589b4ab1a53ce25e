"""What it costs to let a query stand for an instance: DETR, https://arxiv.org/abs/2005.12872, and MaskFormer,
https://arxiv.org/abs/2107.06278. Computed in float32, whatever the predictions are."""
from __future__ import annotations

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from mmengine.structures import InstanceData

from mmseg.registry import TASK_UTILS


def _rows(masks: torch.Tensor) -> torch.Tensor:
    """Masks of any shape as float32 rows: Q ... -> Q P."""
    return masks.flatten(1).to(torch.promote_types(masks.dtype, torch.float32))


def _cost_of_pixels(positive: torch.Tensor, negative: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The mean over pixels of `positive` where the target is 1 and `negative` where it is 0: (Q, P), (G, P) -> (Q, G).

    Targets between 0 and 1 count as both.
    """
    return ((positive - negative) @ target.t() + negative.sum(1, keepdim=True)) / positive.shape[1]


class BaseMatchCost(ABC):
    """A cost with a weight. A subclass defines `__call__`.

    Predictions carry `scores` (Q, C), logits with no object as the last class, and `masks` (Q, ...), logits. Instances
    carry `labels` (G,) and `masks` (G, ...), 0 to 1, at the same places.
    """

    def __init__(self, weight: float | int = 1.):
        self.weight = weight

    @abstractmethod
    def __call__(self, pred_instances: InstanceData, gt_instances: InstanceData, **kwargs) -> torch.Tensor:
        """Return the cost of each prediction for each instance, (Q, G)."""


@TASK_UTILS.register_module()
class ClassificationCost(BaseMatchCost):
    """Minus the probability of the instance's class.

    >>> cost = ClassificationCost()
    >>> prediction = InstanceData(scores=torch.tensor([[0.2, 0.2, 0.2], [3., 0., 0.]]))
    >>> cost(prediction, InstanceData(labels=torch.tensor([0, 1])))
    tensor([[-0.3333, -0.3333],
            [-0.9094, -0.0453]])
    """

    def __init__(self, weight: float | int = 1):
        super().__init__(weight)

    def __call__(self, pred_instances: InstanceData, gt_instances: InstanceData, **kwargs) -> torch.Tensor:
        return -self.weight * _rows(pred_instances.scores).softmax(-1)[:, gt_instances.labels]


class MaskCost(BaseMatchCost):
    """A cost of logits (Q, P) for masks (G, P), which a subclass defines as `compare`."""

    @abstractmethod
    def compare(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return (Q, G), without the weight."""

    def __call__(self, pred_instances: InstanceData, gt_instances: InstanceData, **kwargs) -> torch.Tensor:
        return self.weight * self.compare(_rows(pred_instances.masks), _rows(gt_instances.masks))


@TASK_UTILS.register_module()
class DiceCost(MaskCost):
    """One minus the Dice coefficient.

    Args:
        pred_act: whether predictions are logits; otherwise they are probabilities already.
        eps: keeps the quotient finite.
        naive_dice: the sums of the values in the denominator instead of those of their squares.
    """

    def __init__(self, pred_act: bool = False, eps: float = 1e-3, naive_dice: bool = True, weight: float | int = 1.):
        super().__init__(weight)
        self.pred_act = pred_act
        self.eps = eps
        self.naive_dice = naive_dice

    def compare(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        mask = logits.sigmoid() if self.pred_act else logits
        overlap = 2 * mask @ target.t()
        power = 1 if self.naive_dice else 2
        size = mask.pow(power).sum(1, keepdim=True) + target.pow(power).sum(1)
        return 1 - (overlap + self.eps) / (size + self.eps)


@TASK_UTILS.register_module()
class CrossEntropyLossCost(MaskCost):
    """The mean cross-entropy of the pixels, each for itself.

    Args:
        use_sigmoid: must be true: the pixels of a mask are independent.
    """

    def __init__(self, use_sigmoid: bool = True, weight: float | int = 1.):
        super().__init__(weight)
        if not use_sigmoid:
            raise ValueError('use_sigmoid=False: the cost of masks exists with sigmoid only')
        self.use_sigmoid = use_sigmoid

    def compare(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return _cost_of_pixels(F.softplus(-logits), F.softplus(logits), target)


@TASK_UTILS.register_module()
class FocalLossCost(BaseMatchCost):
    """The focal loss of the pixels, or of the instance's class.

    Args:
        alpha: share of the positives.
        gamma: how much less an easy logit counts.
        eps: keeps the logarithm finite.
        binary_input: compare masks; otherwise `scores` (Q, C), the logit of each class for itself.
    """

    def __init__(self, alpha: float | int = 0.25, gamma: float | int = 2, eps: float = 1e-12,
                 binary_input: bool = False, weight: float | int = 1.):
        super().__init__(weight)
        self.alpha = alpha
        self.gamma = gamma
        self.eps = eps
        self.binary_input = binary_input

    def _losses(self, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The loss of each logit as a positive and as a negative."""
        prob = logits.sigmoid()
        positive = -(prob + self.eps).log() * self.alpha * (1 - prob).pow(self.gamma)
        negative = -(1 - prob + self.eps).log() * (1 - self.alpha) * prob.pow(self.gamma)
        return positive, negative

    def __call__(self, pred_instances: InstanceData, gt_instances: InstanceData, **kwargs) -> torch.Tensor:
        if self.binary_input:
            losses = self._losses(_rows(pred_instances.masks))
            return self.weight * _cost_of_pixels(*losses, _rows(gt_instances.masks))
        positive, negative = self._losses(_rows(pred_instances.scores))
        return self.weight * (positive - negative)[:, gt_instances.labels]
