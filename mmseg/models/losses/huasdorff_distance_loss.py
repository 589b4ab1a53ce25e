"""Hausdorff distance loss: Reducing the Hausdorff Distance in Medical Image Segmentation with Convolutional Neural
Networks (https://arxiv.org/abs/1904.10030), in its form with distance transforms."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mmseg.registry import MODELS

from .utils import SegmentationLoss, both_classes, check_labels, full_precision, valid_pixels, weighted_loss


@torch.no_grad()
def compute_dtm(img_gt: Tensor, pred: Tensor) -> Tensor:
    """Distance of each foreground pixel (any class but 0) to the background, in pixels.

    Args:
        img_gt: (N, H, W) classes.
        pred: (N, C, H, W), whose shape, type and device the result takes.

    Returns:
        (N, C, H, W), the same map for each class, and zero for class 0.
    """
    from scipy.ndimage import distance_transform_edt
    distances = torch.zeros_like(pred)
    for distance, foreground in zip(distances, (img_gt != 0).cpu().numpy()):
        if foreground.any():
            distance[1:] = torch.from_numpy(distance_transform_edt(foreground)).to(distance)
    return distances


@weighted_loss
def hd_loss(seg_soft: Tensor,
            gt: Tensor,
            seg_dtm: Tensor,
            gt_dtm: Tensor,
            class_weight: Tensor | None = None,
            ignore_index: int | None = 255) -> Tensor:
    """Squared gap of probability and label, weighted by both squared distances: summed over the classes but 0, over C.

    Args:
        seg_soft: (N, C, H, W) probabilities.
        gt: (N, H, W) labels, whose number itself is the target: the loss is meant for one foreground class.
        seg_dtm, gt_dtm: (N, C, H, W) distances of prediction and label (:func:`compute_dtm`).
        class_weight: (C,) factor of each class.
        ignore_index: this class adds nothing.
    """
    num_classes = seg_soft.size(1)
    if class_weight is not None and len(class_weight) != num_classes:
        raise ValueError(f'class_weight has {len(class_weight)} entries for {num_classes} classes: give one for each')
    gap = (seg_soft - gt.unsqueeze(1)).square()
    losses = (gap * (seg_dtm.square() + gt_dtm.square())).mean(dim=(0, 2, 3))  # N C H W -> C
    if class_weight is not None:
        losses = losses * class_weight
    counted = [c for c in range(1, num_classes) if c != ignore_index]
    return losses[counted].sum() / num_classes


@MODELS.register_module()
class HuasdorffDisstanceLoss(SegmentationLoss):
    """Hausdorff distance loss of logits (the names are spelt as users know them). Ignored pixels are background.

    Args:
        ignore_index: this label, and the class of this index, count as nothing.
    """

    def __init__(self,
                 reduction: str = 'mean',
                 class_weight: Sequence[float] | str | None = None,
                 loss_weight: float = 1.0,
                 ignore_index: int | None = 255,
                 loss_name: str = 'loss_huasdorff_disstance',
                 **kwargs):
        super().__init__(loss_name, loss_weight, class_weight, reduction)
        self.ignore_index = ignore_index

    def forward(self,
                pred: Tensor,
                target: Tensor,
                avg_factor: float | Tensor | None = None,
                reduction_override: str | None = None,
                ignore_index: int | None = None,
                **kwargs) -> Tensor:
        """Loss of logits (N, C, H, W) against classes (N, H, W); one channel stands for class 1.

        The distances are computed on the CPU.
        """
        pred = both_classes(pred)
        label = target * valid_pixels(target, self.ignore_index, ignore_index)
        label = check_labels(label, pred.size(1), self.ignore_index)
        prob = full_precision(pred).softmax(dim=1)
        return self.loss_weight * hd_loss(
            prob, label, seg_dtm=compute_dtm(prob.argmax(dim=1), prob), gt_dtm=compute_dtm(label, prob),
            class_weight=self.class_weight_on(pred.device), ignore_index=self.ignore_index,
            reduction=self.reduction_or(reduction_override), avg_factor=avg_factor)
