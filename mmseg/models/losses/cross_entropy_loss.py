"""Cross-entropy: over classes (softmax), for each class (sigmoid) and for masks of chosen classes."""
from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg.registry import MODELS

from .utils import EPSILON, SegmentationLoss, channel_vector, check_labels, full_precision, one_hot, weight_reduce_loss


def cross_entropy(pred: Tensor,
                  label: Tensor,
                  weight: Tensor | None = None,
                  class_weight: Tensor | None = None,
                  reduction: str = 'mean',
                  avg_factor: float | Tensor | None = None,
                  ignore_index: int = -100,
                  avg_non_ignore: bool = False) -> Tensor:
    """Softmax cross-entropy.

    Args:
        pred: (N, C, ...) logits.
        label: (N, ...) classes.
        weight: (N, ...) factor of each pixel.
        class_weight: (C,) factor of each class.
        avg_factor: what the mean divides by, instead of the number of pixels or the sum of their class weights.
        ignore_index: pixels of this label add nothing to the sum.
        avg_non_ignore: whether ignored pixels are left out of what the mean divides by, too.
    """
    label = check_labels(label.long(), pred.size(1), ignore_index)
    pred = full_precision(pred)
    if class_weight is not None:
        class_weight = class_weight.to(pred.dtype)
    if reduction == 'mean' and avg_factor is None:
        avg_factor = _pixels_or_weights(label, class_weight, ignore_index, avg_non_ignore)
    if reduction == 'mean' and weight is None:  # summed inside the kernel: no map of losses
        return F.cross_entropy(pred, label, class_weight, ignore_index=ignore_index, reduction='sum') / (
            avg_factor + EPSILON)
    loss = F.cross_entropy(pred, label, class_weight, ignore_index=ignore_index, reduction='none')
    return weight_reduce_loss(loss, None if weight is None else weight.float(), reduction, avg_factor)


def _pixels_or_weights(label, class_weight, ignore_index, avg_non_ignore) -> int | Tensor:
    """What the mean divides by: the number of pixels, or the sum of their class weights."""
    if class_weight is None:
        return (label != ignore_index).sum() if avg_non_ignore else label.numel()
    counted = (label >= 0) & (label < len(class_weight))  # an ignored label that is no class has no weight
    if avg_non_ignore:
        counted &= label != ignore_index
    return (class_weight[label * counted] * counted).sum()


def binary_cross_entropy(pred: Tensor,
                         label: Tensor,
                         weight: Tensor | None = None,
                         reduction: str = 'mean',
                         avg_factor: float | Tensor | None = None,
                         class_weight: Tensor | None = None,
                         ignore_index: int = -100,
                         avg_non_ignore: bool = False,
                         **kwargs) -> Tensor:
    """Sigmoid cross-entropy of each class for itself.

    Args:
        pred: (N, C, ...) logits; with one channel, the logit of class 1 against class 0.
        label: (N, ...) classes, or (N, C, ...) with a target for each class. Below zero means ignored.
        weight: factor of each pixel, of the shape of `label`.
        class_weight: (C,) factor of the positives of each class.
        avg_factor: what the mean divides by, instead of the number of logits.
        ignore_index: logits of this label add nothing to the sum.
        avg_non_ignore: whether ignored logits are left out of what the mean divides by, too.
    """
    pred = full_precision(pred)
    if pred.dim() == label.dim() + 1:
        label = label.long()
        label = check_labels(label.where(label >= 0, ignore_index), max(pred.size(1), 2), ignore_index)
        pred = pred.squeeze(1)  # of one channel only
    valid = (label >= 0) & (label != ignore_index)
    if pred.dim() == label.dim() + 1:
        target = one_hot(label, pred.size(1))  # N ... -> N C ...
        valid = valid.unsqueeze(1).expand_as(target)
        weight = None if weight is None else weight.unsqueeze(1)
    else:
        target = label * valid
    if pred.shape != target.shape:
        raise ValueError(f'logits {tuple(pred.shape)} do not fit labels {tuple(label.shape)}: expected (N, C, ...) '
                         'with (N, ...), or equal shapes')
    if reduction == 'mean' and avg_factor is None and avg_non_ignore:
        avg_factor = valid.sum()
    pos_weight = None
    if class_weight is not None:
        pos_weight = class_weight.to(pred.dtype)
        if len(pos_weight) > 1:
            pos_weight = channel_vector(pos_weight, pred)
    loss = F.binary_cross_entropy_with_logits(pred, target.to(pred.dtype), pos_weight=pos_weight, reduction='none')
    return weight_reduce_loss(loss, valid if weight is None else weight * valid, reduction, avg_factor)


def mask_cross_entropy(pred: Tensor,
                       target: Tensor,
                       label: Tensor,
                       reduction: str = 'mean',
                       avg_factor: float | Tensor | None = None,
                       class_weight: Tensor | None = None,
                       ignore_index: int | None = None,
                       **kwargs) -> Tensor:
    """Sigmoid cross-entropy of one mask for each region: the one of the region's class.

    Args:
        pred: (R, C, h, w) logits of a mask for each class.
        target: (R, h, w) mask, 0 or 1.
        label: (R,) class of each region.
        class_weight: (C,) factor of each class.
        ignore_index: pixels of `target` with this value do not count.

    Returns:
        A tensor of shape (1,): the mean.
    """
    if reduction != 'mean' or avg_factor is not None:
        raise ValueError(f"the loss of masks knows reduction='mean' without avg_factor only, not {reduction!r} with "
                         f'avg_factor={avg_factor}')
    mask = full_precision(pred)[torch.arange(len(pred), device=pred.device), label]  # R C h w -> R h w
    weight = torch.ones_like(mask) if class_weight is None else class_weight[label].view(-1, 1, 1).expand_as(mask)
    divisor = mask.numel()
    if ignore_index is not None:
        valid = target != ignore_index
        target, weight, divisor = target * valid, weight * valid, valid.sum()
    loss = F.binary_cross_entropy_with_logits(mask, target.to(mask.dtype), weight, reduction='sum')
    return (loss / (divisor + EPSILON)).view(1)


@MODELS.register_module()
class CrossEntropyLoss(SegmentationLoss):
    """Cross-entropy.

    Args:
        use_sigmoid: each class for itself (:func:`binary_cross_entropy`).
        use_mask: masks of regions (:func:`mask_cross_entropy`); neither: softmax (:func:`cross_entropy`).
        avg_non_ignore: divide the mean by the pixels that are not ignored only. By default it is divided by all of
            them, so the loss of an image shrinks as more of it is ignored.
    """

    def __init__(self,
                 use_sigmoid: bool = False,
                 use_mask: bool = False,
                 reduction: str = 'mean',
                 class_weight: Sequence[float] | str | None = None,
                 loss_weight: float = 1.0,
                 loss_name: str = 'loss_ce',
                 avg_non_ignore: bool = False):
        super().__init__(loss_name, loss_weight, class_weight, reduction)
        if use_sigmoid and use_mask:
            raise ValueError('use_sigmoid=True and use_mask=True exclude each other: set one of them to False')
        self.use_sigmoid = use_sigmoid
        self.use_mask = use_mask
        self.avg_non_ignore = avg_non_ignore

    def extra_repr(self) -> str:
        return f'avg_non_ignore={self.avg_non_ignore}'

    def forward(self,
                cls_score: Tensor,
                label: Tensor,
                weight: Tensor | None = None,
                avg_factor: float | Tensor | None = None,
                reduction_override: str | None = None,
                ignore_index: int | None = -100,
                **kwargs) -> Tensor:
        """Loss of logits and labels as the functions above take them; of masks, `weight` is each region's class."""
        options = dict(reduction=self.reduction_or(reduction_override), avg_factor=avg_factor,
                       class_weight=self.class_weight_on(cls_score.device), ignore_index=ignore_index)
        if self.use_mask:
            return self.loss_weight * mask_cross_entropy(cls_score, label, weight, **options, **kwargs)
        criterion = binary_cross_entropy if self.use_sigmoid else cross_entropy
        loss = criterion(cls_score, label, weight, avg_non_ignore=self.avg_non_ignore, **options, **kwargs)
        return self.loss_weight * loss
