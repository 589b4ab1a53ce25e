"""The Lovász-Softmax loss: A tractable surrogate for the optimization of the intersection-over-union measure in neural
networks (https://arxiv.org/abs/1705.08790).

The loss sorts the pixels for each class. Ignored pixels and absent classes are left out before, which on a GPU means
waiting for the labels: sorting them would take longer.
"""
from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mmseg.registry import MODELS

from .utils import SegmentationLoss, check_labels, full_precision, weight_reduce_loss


def lovasz_grad(gt_sorted: Tensor) -> Tensor:
    """Gradient of the Lovász extension of the Jaccard loss (algorithm 1).

    Args:
        gt_sorted: (P,) 0 or 1, in the order of falling errors.
    """
    hits = gt_sorted.cumsum(0, dtype=torch.int32)
    total = hits[-1:]
    ranks = torch.arange(1, len(gt_sorted) + 1, dtype=torch.int32, device=gt_sorted.device)
    jaccard = 1 - (total - hits) / (total + ranks - hits)
    return torch.diff(jaccard, prepend=jaccard.new_zeros(1))


def _lovasz_extension(errors: Tensor, foreground: Tensor) -> Tensor:
    """Errors of the P pixels, weighted by how much each costs in intersection over union."""
    errors, order = errors.sort(descending=True)
    return (errors * lovasz_grad(foreground[order])).sum()


def flatten_binary_logits(logits: Tensor, labels: Tensor, ignore_index: int | None = None) -> tuple[Tensor, Tensor]:
    """Logits and labels, of equally many elements, of the pixels that are not ignored: two vectors."""
    logits, labels = logits.reshape(-1), labels.reshape(-1)
    if ignore_index is None:
        return logits, labels
    valid = labels != ignore_index
    return logits[valid], labels[valid]


def flatten_probs(probs: Tensor, labels: Tensor, ignore_index: int | None = None) -> tuple[Tensor, Tensor]:
    """Probabilities (P, C) and labels (P,) of the pixels that are not ignored.

    Args:
        probs: (N, C, H, W), or (N, H, W) of one class.
        labels: (N, H, W).
    """
    if probs.dim() == 3:
        probs = probs.unsqueeze(1)
    probs, labels = probs.transpose(0, 1).flatten(1), labels.reshape(-1)  # N C H W -> C (N H W)
    if ignore_index is not None:
        valid = labels != ignore_index
        probs, labels = probs[:, valid], labels[valid]
    return probs.T, labels


def lovasz_hinge_flat(logits: Tensor, labels: Tensor) -> Tensor:
    """Binary Lovász hinge loss of P pixels.

    Args:
        logits: (P,) of class 1.
        labels: (P,) 0 or 1.
    """
    if labels.numel() == 0:
        return logits.sum() * 0
    logits = full_precision(logits)
    margins = 1 - logits * (2 * labels.to(logits.dtype) - 1)
    return _lovasz_extension(margins.relu(), labels)  # what is beyond the margin adds nothing, wherever it is sorted


def lovasz_hinge(logits: Tensor,
                 labels: Tensor,
                 classes: str | Sequence[int] = 'present',
                 per_image: bool = False,
                 class_weight: Sequence[float] | None = None,
                 reduction: str = 'mean',
                 avg_factor: float | Tensor | None = None,
                 ignore_index: int | None = 255) -> Tensor:
    """Binary Lovász hinge loss.

    Args:
        logits: (N, 1, H, W) or (N, H, W), of class 1.
        labels: (N, H, W) 0 or 1.
        classes, class_weight: not used: there is one class.
        per_image: one loss for each image, reduced after; otherwise one over all pixels, whatever `reduction` is.
    """
    labels = check_labels(labels, 2, ignore_index)
    if not per_image:
        return lovasz_hinge_flat(*flatten_binary_logits(logits, labels, ignore_index))
    losses = [lovasz_hinge_flat(*flatten_binary_logits(*image, ignore_index)) for image in zip(logits, labels)]
    return weight_reduce_loss(torch.stack(losses), None, reduction, avg_factor)


def lovasz_softmax_flat(probs: Tensor,
                        labels: Tensor,
                        classes: str | Sequence[int] = 'present',
                        class_weight: Sequence[float] | Tensor | None = None) -> Tensor:
    """Multi-class Lovász loss of P pixels: the mean over the classes.

    Args:
        probs: (P, C); with one column, the probability of the one class that `classes` names.
        labels: (P,) classes.
        classes: 'present' (in `labels`), 'all', or a list of them.
        class_weight: factor of each of the C classes.
    """
    if labels.numel() == 0:
        return probs.sum() * 0
    num_classes = probs.size(1)
    if num_classes == 1 and (isinstance(classes, str) or len(classes) > 1):
        raise ValueError(f"classes={classes!r} with one channel: use loss_type='binary', or name the one class")
    if classes == 'present':
        classes = labels.unique().tolist()
    elif classes == 'all':
        classes = range(num_classes)
    losses = []
    for c in classes:
        foreground = labels == c
        loss = _lovasz_extension((foreground.float() - probs[:, 0 if num_classes == 1 else c]).abs(), foreground)
        losses.append(loss if class_weight is None else loss * class_weight[c])
    return torch.stack(losses).mean()


def lovasz_softmax(probs: Tensor,
                   labels: Tensor,
                   classes: str | Sequence[int] = 'present',
                   per_image: bool = False,
                   class_weight: Sequence[float] | Tensor | None = None,
                   reduction: str = 'mean',
                   avg_factor: float | Tensor | None = None,
                   ignore_index: int | None = 255) -> Tensor:
    """Multi-class Lovász loss of probabilities (N, C, H, W) and classes (N, H, W).

    Args:
        classes, class_weight: see :func:`lovasz_softmax_flat`.
        per_image: one loss for each image, reduced after; otherwise one over all pixels, whatever `reduction` is.
    """
    labels = check_labels(labels, max(probs.size(1), 2), ignore_index)
    if not per_image:
        return lovasz_softmax_flat(*flatten_probs(probs, labels, ignore_index), classes, class_weight)
    losses = [
        lovasz_softmax_flat(*flatten_probs(prob[None], label[None], ignore_index), classes, class_weight)
        for prob, label in zip(probs, labels)
    ]
    return weight_reduce_loss(torch.stack(losses), None, reduction, avg_factor)


@MODELS.register_module()
class LovaszLoss(SegmentationLoss):
    """Lovász loss of logits.

    Args:
        loss_type: 'multi_class' (softmax) or 'binary' (hinge, one channel).
        classes: see :func:`lovasz_softmax_flat`.
        per_image: one loss for each image instead of one over all pixels; needed for any `reduction` but 'none'.
    """

    def __init__(self,
                 loss_type: str = 'multi_class',
                 classes: str | Sequence[int] = 'present',
                 per_image: bool = False,
                 reduction: str = 'mean',
                 class_weight: Sequence[float] | str | None = None,
                 loss_weight: float = 1.0,
                 loss_name: str = 'loss_lovasz'):
        super().__init__(loss_name, loss_weight, class_weight, reduction)
        if loss_type not in ('binary', 'multi_class'):
            raise ValueError(f"loss_type={loss_type!r}: choose 'binary' or 'multi_class'")
        if isinstance(classes, str) and classes not in ('all', 'present'):
            raise ValueError(f"classes={classes!r}: choose 'all', 'present' or a list of classes")
        if not per_image and reduction != 'none':
            raise ValueError(f"reduction={reduction!r} with per_image=False: there is one loss and nothing to reduce; "
                             "set reduction='none', or per_image=True")
        self.loss_type = loss_type
        self.classes = classes
        self.per_image = per_image

    def forward(self,
                cls_score: Tensor,
                label: Tensor,
                weight: Tensor | None = None,
                avg_factor: float | Tensor | None = None,
                reduction_override: str | None = None,
                **kwargs) -> Tensor:
        """Loss of logits (N, C, H, W) against classes (N, H, W); weights of pixels have no meaning here."""
        cls_score = full_precision(cls_score)
        options = dict(classes=self.classes, per_image=self.per_image, class_weight=self.class_weight,
                       reduction=self.reduction_or(reduction_override), avg_factor=avg_factor, **kwargs)
        if self.loss_type == 'binary':
            return self.loss_weight * lovasz_hinge(cls_score, label, **options)
        return self.loss_weight * lovasz_softmax(cls_score.softmax(dim=1), label, **options)
