"""Online hard example mining: Training Region-based Object Detectors with Online Hard Example Mining
(https://arxiv.org/abs/1604.03540), for pixels."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg.registry import TASK_UTILS

from .base_pixel_sampler import BasePixelSampler


def hard_threshold(prob: Tensor, valid: Tensor, thresh: float, min_kept: int) -> Tensor:
    """Probability below which a pixel is hard: `thresh`, or as much more as leaves `min_kept` pixels below.

    Args:
        prob: probability of each pixel's own class.
        valid: which pixels count, of the same shape.

    Returns:
        A scalar tensor; nothing is sorted, and nothing waits for the device.
    """
    last = prob.masked_fill(~valid, 2)  # above every probability
    lowest = last.flatten().topk(min(min_kept + 1, last.numel()), largest=False, sorted=False).values
    highest_valid = prob.masked_fill(~valid, 0).max()  # where fewer than `min_kept` pixels are valid
    return torch.minimum(lowest.max(), highest_valid).clamp(min=thresh)


@TASK_UTILS.register_module()
class OHEMPixelSampler(BasePixelSampler):
    """Keeps the pixels that a head is worst at.

    Args:
        context: the head, for its `ignore_index` and, without `thresh`, its `loss_decode`.
        thresh: pixels whose own class has a lower probability are kept, and at least `min_kept`;
            None: the `min_kept` pixels of highest loss are.
        min_kept: number of pixels for each image of the batch, whichever image they are in.
    """

    def __init__(self, context, thresh: float | None = None, min_kept: int = 100000):
        super().__init__()
        if min_kept <= 1:
            raise ValueError(f'min_kept={min_kept} must be above 1: it is a number of pixels')
        self.context = context
        self.thresh = thresh
        self.min_kept = min_kept

    @torch.no_grad()
    def sample(self, seg_logit: Tensor, seg_label: Tensor) -> Tensor:
        """1 for the pixels that are kept, 0 for the others: (N, H, W), of the type of the logits."""
        if seg_logit.shape[2:] != seg_label.shape[2:] or seg_label.size(1) != 1:
            raise ValueError(f'logits {tuple(seg_logit.shape)} do not fit labels {tuple(seg_label.shape)}: '
                             'expected (N, C, H, W) and (N, 1, H, W)')
        seg_label = seg_label.squeeze(1).long()  # N 1 H W -> N H W
        valid = seg_label != self.context.ignore_index
        kept = self.min_kept * len(seg_label)
        if self.thresh is None:
            chosen = self._highest_losses(seg_logit, seg_label, valid, kept)
        else:
            prob = self._own_probability(seg_logit, seg_label)
            chosen = prob < hard_threshold(prob, valid, self.thresh, kept)
        return (chosen & valid).to(seg_logit.dtype)

    def _own_probability(self, seg_logit: Tensor, seg_label: Tensor) -> Tensor:
        seg_logit = seg_logit.float()
        if seg_logit.size(1) == 1:  # the logit of class 1 against class 0
            seg_logit = torch.cat([torch.zeros_like(seg_logit), seg_logit], dim=1)
        return (-F.cross_entropy(seg_logit, seg_label, ignore_index=self.context.ignore_index, reduction='none')).exp()

    def _highest_losses(self, seg_logit: Tensor, seg_label: Tensor, valid: Tensor, kept: int) -> Tensor:
        modules = self.context.loss_decode
        losses = torch.zeros_like(valid, dtype=torch.float32)
        for module in modules if isinstance(modules, nn.ModuleList) else [modules]:
            loss = module(seg_logit, seg_label, weight=None, ignore_index=self.context.ignore_index,
                          reduction_override='none')
            if loss.dim() == losses.dim() + 1:  # a loss for each class
                loss = loss.sum(1)
            if loss.shape == losses.shape:  # others are the same for all pixels of an image
                losses += loss
        losses = losses.masked_fill(~valid, -torch.inf).flatten()
        chosen = torch.zeros_like(losses, dtype=torch.bool)
        chosen[losses.topk(min(kept, losses.numel()), sorted=False).indices] = True
        return chosen.view(valid.shape)
