"""Scale-invariant logarithmic loss: Depth Map Prediction from a Single Image using a Multi-Scale Deep Network
(https://arxiv.org/abs/1406.2283)."""
from __future__ import annotations

import torch
from torch import Tensor

from mmseg.registry import MODELS

from .utils import SegmentationLoss, full_precision, weight_reduce_loss


def silog_loss(pred: Tensor,
               target: Tensor,
               weight: Tensor | None = None,
               eps: float = 1e-4,
               reduction: str = 'mean',
               avg_factor: float | Tensor | None = None) -> Tensor:
    """Spread of the logarithmic error of each depth map: half of a common factor is forgiven.

    Args:
        pred: (N, ...) depths.
        target: (N, ...) depths; up to `eps` means unknown.
        weight: (N,) factor of each map.
    """
    pred, target = full_precision(pred).flatten(1), full_precision(target).flatten(1)  # N H W -> N P
    gap = target.clamp(min=eps).log() - pred.clamp(min=eps).log()
    known = (target > eps) & ~gap.isnan()
    count = known.sum(1).clamp(min=1)
    gap = gap.where(known, 0)
    spread = gap.square().sum(1) / count - 0.5 * (gap.sum(1) / count).square()
    # The slope of the root is infinite at zero: a perfect or wholly unknown map gives none instead.
    return weight_reduce_loss(spread.clamp(min=torch.finfo(spread.dtype).tiny).sqrt(), weight, reduction, avg_factor)


@MODELS.register_module()
class SiLogLoss(SegmentationLoss):
    """Scale-invariant logarithmic loss of depths.

    Args:
        eps: see :func:`silog_loss`.
    """

    def __init__(self,
                 reduction: str = 'mean',
                 loss_weight: float = 1.0,
                 eps: float = 1e-6,
                 loss_name: str = 'loss_silog'):
        super().__init__(loss_name, loss_weight, None, reduction)
        self.eps = eps

    def forward(self,
                pred: Tensor,
                target: Tensor,
                weight: Tensor | None = None,
                avg_factor: float | Tensor | None = None,
                reduction_override: str | None = None) -> Tensor:
        """Loss of depths (N, ...) against depths of the same shape."""
        if pred.shape != target.shape:
            raise ValueError(f'depths {tuple(pred.shape)} do not fit {tuple(target.shape)}: expected equal shapes')
        return self.loss_weight * silog_loss(
            pred, target, weight, self.eps, self.reduction_or(reduction_override), avg_factor)
