"""Dice loss: V-Net: Fully Convolutional Neural Networks for Volumetric Medical Image Segmentation
(https://arxiv.org/abs/1606.04797)."""
from __future__ import annotations

from torch import Tensor

from mmseg.registry import MODELS

from .utils import SegmentationLoss, check_labels, full_precision, one_hot, valid_pixels, weight_reduce_loss


def dice_loss(pred: Tensor,
              target: Tensor,
              weight: Tensor | None,
              eps: float = 1e-3,
              reduction: str = 'mean',
              naive_dice: bool = False,
              avg_factor: float | Tensor | None = None,
              ignore_index: int | None = 255) -> Tensor:
    """One minus the Dice coefficient of each sample, over all its classes together.

    Args:
        pred: (N, C, ...) probabilities.
        target: (N, C, ...) 0 or 1.
        weight: (N,) factor of each sample.
        eps: keeps the quotient finite where nothing is there.
        naive_dice: the sums of the values in the denominator instead of those of their squares.
        ignore_index: this class is left out of the sums.

    Returns:
        (N,) losses, reduced.
    """
    if ignore_index is not None and pred.dim() > 2 and 0 <= ignore_index < pred.size(1):
        if pred.size(1) == 1:
            raise ValueError(f'ignore_index={ignore_index} leaves out the only class: give another one, or None')
        kept = [c for c in range(pred.size(1)) if c != ignore_index]
        pred, target = pred[:, kept], target[:, kept]
    pred, target = full_precision(pred.flatten(1)), target.flatten(1)  # N C ... -> N P
    target = target.to(pred.dtype)
    overlap = (pred * target).sum(1)
    if naive_dice:
        dice = (2 * overlap + eps) / (pred.sum(1) + target.sum(1) + eps)
    else:
        dice = 2 * overlap / (pred.square().sum(1) + target.square().sum(1) + 2 * eps)
    return weight_reduce_loss(1 - dice, weight, reduction, avg_factor)


@MODELS.register_module()
class DiceLoss(SegmentationLoss):
    """Dice loss of logits.

    An ignored pixel belongs to no class, and what is predicted there counts as wrong: published weights were trained
    with this figure. `mask_ignored=True` leaves these pixels out.

    Args:
        use_sigmoid: each class for itself; otherwise softmax, unless there is only one channel.
        activate: whether `pred` are logits; otherwise they are probabilities already.
        naive_dice: see :func:`dice_loss`.
        ignore_index: a class that is left out of the sums; None: every class and label counts.
        eps: see :func:`dice_loss`.
        mask_ignored: whether pixels labelled `ignore_index`, where this is no class, leave the sums.
    """

    def __init__(self,
                 use_sigmoid: bool = True,
                 activate: bool = True,
                 reduction: str = 'mean',
                 naive_dice: bool = False,
                 loss_weight: float = 1.0,
                 ignore_index: int | None = 255,
                 eps: float = 1e-3,
                 loss_name: str = 'loss_dice',
                 mask_ignored: bool = False):
        super().__init__(loss_name, loss_weight, None, reduction)
        self.use_sigmoid = use_sigmoid
        self.activate = activate
        self.naive_dice = naive_dice
        self.ignore_index = ignore_index
        self.eps = eps
        self.mask_ignored = mask_ignored

    def forward(self,
                pred: Tensor,
                target: Tensor,
                weight: Tensor | None = None,
                avg_factor: float | Tensor | None = None,
                reduction_override: str | None = None,
                ignore_index: int | None = 255,
                **kwargs) -> Tensor:
        """Loss of logits (N, C, ...) against classes (N, ...), or against 0 and 1 of the shape of `pred`.

        One channel stands for class 1.
        """
        if self.activate:
            pred = full_precision(pred)
            if self.use_sigmoid:
                pred = pred.sigmoid()
            elif pred.size(1) > 1:
                pred = pred.softmax(dim=1)
        if pred.shape != target.shape:
            valid = valid_pixels(target, self.ignore_index, ignore_index)
            num_classes = max(pred.size(1), 2)
            check_labels(target * valid, num_classes, ignore_index)
            target = one_hot(target, num_classes)[:, -pred.size(1):]  # N ... -> N C ...
            if self.mask_ignored:
                pred = pred * valid.unsqueeze(1)
        if weight is not None and weight.dim() > 1:  # of pixels, from a sampler
            pred, target, weight = pred * weight.unsqueeze(1), target * weight.unsqueeze(1), None
        return self.loss_weight * dice_loss(
            pred, target, weight, self.eps, self.reduction_or(reduction_override), self.naive_dice, avg_factor,
            self.ignore_index)
