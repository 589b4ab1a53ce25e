"""Pixel accuracy, logged beside the losses."""
from __future__ import annotations

import torch
from torch import Tensor, nn

from .utils import EPSILON, both_classes


@torch.no_grad()
def accuracy(pred: Tensor,
             target: Tensor,
             topk: int | tuple[int, ...] = 1,
             thresh: float | None = None,
             ignore_index: int | None = None) -> Tensor | list[Tensor]:
    """Percentage of the pixels whose class is among the `topk` highest logits.

    A single channel is the logit of class 1 against class 0. Where `target` has the shape of `pred`, each class is
    present or not by itself, and right decisions are counted.

    Args:
        pred: (N, C, ...) logits or probabilities.
        target: (N, ...) classes, or (N, C, ...) 0 or 1.
        topk: one number, or several for as many results.
        thresh: a prediction counts only if its value exceeds this.
        ignore_index: pixels of this label do not count. Where no pixel is left, the result is 100.

    Returns:
        A tensor of shape (1,), or a list of them where `topk` is a tuple. Nothing waits for the device.
    """
    ranks = (topk,) if isinstance(topk, int) else topk
    if pred.shape == target.shape:
        pred = pred.unsqueeze(1)  # N C ... -> N 1 C ...: C binary decisions
    if pred.dim() == target.dim() + 1 and pred.size(1) == 1:
        pred = both_classes(pred)
    if pred.dim() != target.dim() + 1 or pred.size(0) != target.size(0):
        raise ValueError(f'predictions {tuple(pred.shape)} do not fit labels {tuple(target.shape)}: '
                         'expected (N, C, ...) and (N, ...)')
    if max(ranks) > pred.size(1):
        raise ValueError(f'topk={topk} asks for more classes than the {pred.size(1)} predicted')
    if pred.size(0) == 0:
        results = [pred.new_zeros(1) for _ in ranks]
    else:
        results = _percentages(pred, target, ranks, thresh, ignore_index)
    return results[0] if isinstance(topk, int) else results


def _percentages(pred, target, ranks, thresh, ignore_index) -> list[Tensor]:
    if max(ranks) == 1:
        values, best = pred.max(dim=1, keepdim=True)  # N C ... -> N 1 ...
    else:
        values, best = pred.topk(max(ranks), dim=1)  # N C ... -> N K ..., sorted
    correct = best == target.unsqueeze(1)
    if thresh is not None:
        correct &= values > thresh
    total = target.numel()
    if ignore_index is not None:
        valid = target != ignore_index
        correct &= valid.unsqueeze(1)
        total = valid.sum()
    return [100 * (correct[:, :k].sum().float() + EPSILON).view(1) / (total + EPSILON) for k in ranks]


class Accuracy(nn.Module):
    """:func:`accuracy` with its options."""

    def __init__(self,
                 topk: int | tuple[int, ...] = (1,),
                 thresh: float | None = None,
                 ignore_index: int | None = None):
        super().__init__()
        self.topk = topk
        self.thresh = thresh
        self.ignore_index = ignore_index

    def forward(self, pred: Tensor, target: Tensor) -> Tensor | list[Tensor]:
        return accuracy(pred, target, self.topk, self.thresh, self.ignore_index)
