"""Focal loss: Focal Loss for Dense Object Detection (https://arxiv.org/abs/1708.02002), each class for itself."""
from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from mmseg.registry import MODELS

from .utils import (
    SegmentationLoss,
    channel_vector,
    check_labels,
    full_precision,
    one_hot,
    values_on,
    weight_reduce_loss,
)


def py_sigmoid_focal_loss(pred: Tensor,
                          target: Tensor,
                          one_hot_target: Tensor | None = None,
                          weight: Tensor | None = None,
                          gamma: float = 2.0,
                          alpha: float | Sequence[float] = 0.5,
                          class_weight: Sequence[float] | None = None,
                          valid_mask: Tensor | None = None,
                          reduction: str = 'mean',
                          avg_factor: float | Tensor | None = None) -> Tensor:
    """Sigmoid cross-entropy, each term multiplied by alpha_t (1 - p_t)^gamma.

    Args:
        pred: (N, C, ...) logits.
        target: (N, C, ...) 0 or 1; not looked at where `one_hot_target`, of the same shape, is given.
        weight: factor of each logit, or of each pixel: (N, ...).
        alpha: share of the positives, one for all classes or one for each; the negatives have the rest.
        class_weight: (C,) factor of each class.
        valid_mask: false or 0 where nothing is learnt; broadcasts with `pred`.
    """
    pred = full_precision(pred)
    target = (target if one_hot_target is None else one_hot_target).to(pred.dtype)
    positive_share = _per_class(alpha, pred)
    prob = pred.sigmoid()
    miss = prob + target - 2 * prob * target  # 1 - p_t
    share = positive_share * target + (1 - positive_share) * (1 - target)
    loss = F.binary_cross_entropy_with_logits(pred, target, reduction='none') * share * miss.pow(gamma)
    if class_weight is not None:
        loss = loss * _per_class(class_weight, pred)
    if valid_mask is not None:
        loss = loss * valid_mask
    if weight is not None and weight.shape != loss.shape:
        weight = weight.reshape(len(loss), 1, *loss.shape[2:])  # of pixels
    return weight_reduce_loss(loss, weight, reduction, avg_factor)


def sigmoid_focal_loss(pred: Tensor, target: Tensor, one_hot_target: Tensor, weight: Tensor | None = None,
                       gamma: float = 2.0, alpha: float | Sequence[float] = 0.5,
                       class_weight: Sequence[float] | None = None, valid_mask: Tensor | None = None,
                       reduction: str = 'mean', avg_factor: float | Tensor | None = None) -> Tensor:
    """:func:`py_sigmoid_focal_loss` of classes whose one-hot form is at hand."""
    return py_sigmoid_focal_loss(pred, target, one_hot_target, weight, gamma, alpha, class_weight, valid_mask,
                                 reduction, avg_factor)


def _per_class(value: float | Sequence[float], pred: Tensor) -> float | Tensor:
    return value if isinstance(value, (int, float)) else channel_vector(values_on(value, pred.device), pred)


@MODELS.register_module()
class FocalLoss(SegmentationLoss):
    """Focal loss of logits.

    Args:
        use_sigmoid: the softmax form does not exist, so this must be true.
        gamma: how much less an easy pixel counts; 0 is plain cross-entropy.
        alpha: share of the positives, one for all classes or one for each.
    """

    def __init__(self,
                 use_sigmoid: bool = True,
                 gamma: float = 2.0,
                 alpha: float | Sequence[float] = 0.5,
                 reduction: str = 'mean',
                 class_weight: Sequence[float] | str | None = None,
                 loss_weight: float = 1.0,
                 loss_name: str = 'loss_focal'):
        super().__init__(loss_name, loss_weight, class_weight, reduction)
        if not use_sigmoid:
            raise ValueError('use_sigmoid=False: the focal loss exists with sigmoid only')
        self.use_sigmoid = use_sigmoid
        self.gamma = gamma
        self.alpha = alpha

    def forward(self,
                pred: Tensor,
                target: Tensor,
                weight: Tensor | None = None,
                avg_factor: float | Tensor | None = None,
                reduction_override: str | None = None,
                ignore_index: int = 255,
                **kwargs) -> Tensor:
        """Loss of logits (N, C, ...) against classes (N, ...), or against 0 and 1 of the shape of `pred`.

        The mean divides by all logits, ignored ones included. One channel stands for class 1.
        """
        if pred.shape == target.shape:
            valid = target != ignore_index
            target = target * valid
        elif pred.size(0) == target.size(0) and pred.shape[2:] == target.shape[1:]:
            valid = (target != ignore_index).unsqueeze(1)
            num_classes = max(pred.size(1), 2)
            classes = check_labels(target, num_classes, ignore_index)
            target = one_hot(classes, num_classes)[:, -pred.size(1):]  # N ... -> N C ...
        else:
            raise ValueError(f'logits {tuple(pred.shape)} do not fit labels {tuple(target.shape)}: '
                             'expected (N, C, ...) with (N, ...), or equal shapes')
        return self.loss_weight * py_sigmoid_focal_loss(
            pred, target, weight=weight, gamma=self.gamma, alpha=self.alpha, class_weight=self.class_weight,
            valid_mask=valid, reduction=self.reduction_or(reduction_override), avg_factor=avg_factor)
