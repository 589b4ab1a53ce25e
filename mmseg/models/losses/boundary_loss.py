"""Boundary loss of PIDNet: A Real-time Semantic Segmentation Network Inspired from PID Controllers
(https://arxiv.org/abs/2206.02066)."""
from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from mmseg.registry import MODELS

from .utils import SegmentationLoss, full_precision


@MODELS.register_module()
class BoundaryLoss(SegmentationLoss):
    """Sigmoid cross-entropy of boundary pixels in which the rarer of the two kinds counts as much as the other."""

    def __init__(self, loss_weight: float = 1.0, loss_name: str = 'loss_boundary'):
        super().__init__(loss_name, loss_weight)

    def forward(self, bd_pre: Tensor, bd_gt: Tensor) -> Tensor:
        """Loss of logits (N, 1, H, W) against 1 on a boundary and 0 off it, (N, H, W); other values do not count."""
        logits = full_precision(bd_pre).flatten()
        target = bd_gt.flatten()
        on, off = target == 1, target == 0
        count_on, count_off = on.sum(), off.sum()
        weight = (on * count_off + off * count_on) / (count_on + count_off)
        loss = F.binary_cross_entropy_with_logits(logits, on.to(logits.dtype), weight.to(logits.dtype))
        return self.loss_weight * loss
