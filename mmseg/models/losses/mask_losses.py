"""Losses of queries and masks: what `mmdet.CrossEntropyLoss`, `mmdet.DiceLoss` and `mmdet.FocalLoss` mean in a config.

They resemble the losses of pixels, but a row of logits is a query or a mask rather than an image, a label may be one
past the classes, which is no object, and the mean of weighted losses divides by their number.
"""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg.registry import MODELS

from .cross_entropy_loss import CrossEntropyLoss, cross_entropy, mask_cross_entropy
from .dice_loss import DiceLoss, dice_loss
from .focal_loss import FocalLoss, py_sigmoid_focal_loss
from .utils import full_precision, one_hot, valid_pixels, weight_reduce_loss


def _targets(pred: Tensor, label: Tensor) -> Tensor:
    """Labels (N,) as one target for each of the C logits (N, C), none of which is set for other labels."""
    return label if pred.dim() == label.dim() else one_hot(label, pred.size(1))


def _each_logit(weight: Tensor | None, like: Tensor) -> Tensor | None:
    """A factor of each row as one that broadcasts with (N, C) logits."""
    return weight if weight is None or weight.dim() == like.dim() else weight.unsqueeze(1)


@MODELS.register_module()
class MaskCrossEntropyLoss(CrossEntropyLoss):
    """Cross-entropy of rows.

    Args:
        ignore_index: label that does not count; -100 where None.
        options: those of :class:`CrossEntropyLoss`.
    """

    def __init__(self, *, ignore_index: int | None = None, **options):
        super().__init__(**options)
        self.ignore_index = ignore_index

    def forward(self, cls_score: Tensor, label: Tensor, weight: Tensor | None = None,
                avg_factor: float | Tensor | None = None, reduction_override: str | None = None,
                ignore_index: int | None = None) -> Tensor:
        """Loss of logits (N, C) against labels (N,) or, with `use_sigmoid`, targets of their shape; `avg_factor` is
        what the mean divides by instead of their number."""
        options = dict(reduction=self.reduction_or(reduction_override), avg_factor=avg_factor,
                       class_weight=self.class_weight_on(cls_score.device))
        ignore_index = self.ignore_index if ignore_index is None else ignore_index
        if self.use_mask:
            return self.loss_weight * mask_cross_entropy(cls_score, label, weight, ignore_index=ignore_index, **options)
        ignore_index = -100 if ignore_index is None else ignore_index
        counted = valid_pixels(label, ignore_index)
        if options['reduction'] == 'mean' and avg_factor is None:
            logits_of_a_row = cls_score.numel() // label.numel() if self.use_sigmoid else 1
            rows = counted.sum() if self.avg_non_ignore else label.numel()
            options['avg_factor'] = rows * logits_of_a_row
        if self.use_sigmoid:
            return self.loss_weight * _each_for_itself(cls_score, label, weight, counted & (label >= 0), **options)
        return self.loss_weight * cross_entropy(cls_score, label, weight, ignore_index=ignore_index, **options)


def _each_for_itself(pred: Tensor, label: Tensor, weight: Tensor | None, counted: Tensor, reduction: str,
                     avg_factor: float | Tensor | None, class_weight: Tensor | None) -> Tensor:
    """Sigmoid cross-entropy of logits (N, C) or (N,); arguments as those of the loss."""
    pred, counted = full_precision(pred), _each_logit(counted, pred)
    target = _targets(pred, label) * counted
    loss = F.binary_cross_entropy_with_logits(pred, target.to(pred.dtype), pos_weight=class_weight, reduction='none')
    weight = counted if weight is None else _each_logit(weight, pred) * counted
    return weight_reduce_loss(loss, weight, reduction, avg_factor)


@MODELS.register_module()
class MaskDiceLoss(DiceLoss):
    """One minus the Dice coefficient of each row with its mask; `options` are those of :class:`DiceLoss`."""

    def __init__(self, **options):
        super().__init__(**options, ignore_index=None)
        if self.activate and not self.use_sigmoid:
            raise ValueError('use_sigmoid=False with activate=True: masks are independent of each other, so only the '
                             'sigmoid exists')

    def forward(self, pred: Tensor, target: Tensor, weight: Tensor | None = None,
                reduction_override: str | None = None, avg_factor: float | Tensor | None = None) -> Tensor:
        """Loss of masks (N, ...) against 0 and 1 of their shape, with a factor (N,) of each."""
        pred = full_precision(pred)
        return self.loss_weight * dice_loss(pred.sigmoid() if self.activate else pred, target, weight, self.eps,
                                            self.reduction_or(reduction_override), self.naive_dice, avg_factor,
                                            ignore_index=None)


@MODELS.register_module()
class MaskFocalLoss(FocalLoss):
    """Focal loss of rows.

    Args:
        alpha: share of the positives.
        activated: whether rows are probabilities already.
        options: those of :class:`FocalLoss`.
    """

    def __init__(self, *, alpha: float = 0.25, activated: bool = False, **options):
        super().__init__(alpha=alpha, **options)
        self.activated = activated

    def forward(self, pred: Tensor, target: Tensor, weight: Tensor | None = None,
                avg_factor: float | Tensor | None = None, reduction_override: str | None = None) -> Tensor:
        """Loss of logits (N, C) against labels (N,), or of logits against targets of their shape."""
        pred = full_precision(pred)
        logits = torch.logit(pred, eps=1e-6) if self.activated else pred
        return self.loss_weight * py_sigmoid_focal_loss(
            logits, _targets(pred, target), weight=_each_logit(weight, pred), gamma=self.gamma, alpha=self.alpha,
            class_weight=self.class_weight, reduction=self.reduction_or(reduction_override), avg_factor=avg_factor)
