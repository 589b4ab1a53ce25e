"""Tversky loss for image segmentation using 3D fully convolutional deep networks (https://arxiv.org/abs/1706.05721)."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mmseg.registry import MODELS

from .utils import SegmentationLoss, check_labels, full_precision, one_hot, valid_pixels, weighted_loss


@weighted_loss
def tversky_loss(pred: Tensor,
                 target: Tensor,
                 valid_mask: Tensor,
                 alpha: float = 0.3,
                 beta: float = 0.7,
                 smooth: float = 1,
                 class_weight: Tensor | None = None,
                 ignore_index: int | None = 255) -> Tensor:
    """Mean over the classes of the Tversky loss of each.

    Args:
        pred: (N, C, ...) probabilities.
        target: (N, ..., C) 0 or 1.
        valid_mask: (N, ...) 0 where a pixel is ignored.
        class_weight: (C,) factor of each class.
        ignore_index: this class adds nothing.
    """
    index = _tversky_index(pred, target.movedim(-1, 1), valid_mask.unsqueeze(1), alpha, beta, smooth)
    losses = (1 - index).mean(0)  # N C -> C
    if class_weight is not None:
        losses = losses * class_weight
    if ignore_index is not None and 0 <= ignore_index < len(losses):
        losses = losses * (torch.arange(len(losses), device=losses.device) != ignore_index)
    return losses.mean()


@weighted_loss
def binary_tversky_loss(pred: Tensor,
                        target: Tensor,
                        valid_mask: Tensor,
                        alpha: float = 0.3,
                        beta: float = 0.7,
                        smooth: float = 1) -> Tensor:
    """Tversky loss of one class for each of the N samples: all arguments (N, ...)."""
    pred, target, valid_mask = (x.unsqueeze(1) for x in (pred, target, valid_mask))
    return 1 - _tversky_index(pred, target, valid_mask, alpha, beta, smooth).squeeze(1)


def _tversky_index(pred, target, valid_mask, alpha, beta, smooth) -> Tensor:
    """N C ... -> N C: overlap over overlap and, by alpha and beta, false alarms and misses."""
    pred = (pred * valid_mask).flatten(2)
    target = (target * valid_mask).flatten(2).to(pred.dtype)
    overlap = (pred * target).sum(2)
    false_alarms = pred.sum(2) - overlap
    misses = target.sum(2) - overlap
    return (overlap + smooth) / (overlap + alpha * false_alarms + beta * misses + smooth)


@MODELS.register_module()
class TverskyLoss(SegmentationLoss):
    """Tversky loss of logits.

    Args:
        smooth: added to both sides of the quotient.
        ignore_index: pixels of this label do not count; a class of this index neither.
        alpha: what a false alarm costs.
        beta: what a miss costs; `alpha + beta` must be 1.
    """

    def __init__(self,
                 smooth: float = 1,
                 class_weight: Sequence[float] | str | None = None,
                 loss_weight: float = 1.0,
                 ignore_index: int | None = 255,
                 alpha: float = 0.3,
                 beta: float = 0.7,
                 loss_name: str = 'loss_tversky'):
        super().__init__(loss_name, loss_weight, class_weight)
        if abs(alpha + beta - 1) > 1e-6:
            raise ValueError(f'alpha={alpha} and beta={beta} add up to {alpha + beta}, which must be 1: '
                             f'set beta={1 - alpha:g}')
        self.smooth = smooth
        self.ignore_index = ignore_index
        self.alpha = alpha
        self.beta = beta

    def forward(self, pred: Tensor, target: Tensor, ignore_index: int | None = None, **kwargs) -> Tensor:
        """Loss of logits (N, C, ...) against classes (N, ...); pixels labelled `ignore_index` do not count either.

        One channel stands for class 1.
        """
        channels = pred.size(1)
        valid = valid_pixels(target, self.ignore_index, ignore_index)
        label = check_labels(target * valid, max(channels, 2), self.ignore_index)
        pred = full_precision(pred)
        prob = pred.sigmoid() if channels == 1 else pred.softmax(dim=1)
        classes = one_hot(label, max(channels, 2))[:, -channels:]  # N ... -> N C ...
        return self.loss_weight * tversky_loss(
            prob, classes.movedim(1, -1), valid_mask=valid, alpha=self.alpha, beta=self.beta,
            smooth=self.smooth, class_weight=self.class_weight_on(pred.device), ignore_index=self.ignore_index)
