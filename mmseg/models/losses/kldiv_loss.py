"""Kullback-Leibler divergence, for distillation: Distilling the Knowledge in a Neural Network
(https://arxiv.org/abs/1503.02531)."""
from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from mmseg.registry import MODELS

from .utils import SegmentationLoss, full_precision


@MODELS.register_module()
class KLDivLoss(SegmentationLoss):
    """Divergence of two predictions.

    Args:
        temperature: both logits are divided by it; the loss is multiplied by its square.
        reduction: 'mean' and 'sum' reduce each sample to one value; 'none' keeps the shape.
    """

    def __init__(self, temperature: float = 1.0, reduction: str = 'mean', loss_name: str = 'loss_kld'):
        super().__init__(loss_name, reduction=reduction)
        if not isinstance(temperature, (int, float)) or temperature == 0:
            raise ValueError(f'temperature={temperature!r} must be a number other than 0')
        self.temperature = temperature

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Loss of logits (N, C, ...) against logits of the same shape: (N,), or that shape.

        The predicted probabilities enter without their logarithm; published figures were obtained so.
        """
        if input.shape != target.shape:
            raise ValueError(f'logits {tuple(input.shape)} do not fit {tuple(target.shape)}: expected equal shapes')
        ours, theirs = ((full_precision(x) / self.temperature).softmax(dim=1) for x in (input, target))
        loss = F.kl_div(ours, theirs, reduction='none') * self.temperature**2
        if self.reduction == 'none':
            return loss
        loss = loss.flatten(1)  # N C ... -> N P
        return loss.mean(1) if self.reduction == 'mean' else loss.sum(1)
