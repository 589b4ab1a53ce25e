"""Cross-entropy of the hard pixels: Training Region-based Object Detectors with Online Hard Example Mining
(https://arxiv.org/abs/1604.03540), for the pixels of PIDNet and DDRNet."""
from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from mmseg.registry import MODELS
from mmseg.structures.sampler.ohem_pixel_sampler import hard_threshold

from .utils import SegmentationLoss, both_classes, check_labels, full_precision, valid_pixels


@MODELS.register_module()
class OhemCrossEntropy(SegmentationLoss):
    """Mean cross-entropy of the pixels whose class is given too low a probability.

    Args:
        ignore_label: pixels of this label do not count.
        thres: a pixel is hard if the probability of its class is below this.
        min_kept: so many pixels of the batch are hard at least, if there are so many.
    """

    def __init__(self,
                 ignore_label: int = 255,
                 thres: float = 0.7,
                 min_kept: int = 100000,
                 loss_weight: float = 1.0,
                 class_weight: Sequence[float] | str | None = None,
                 loss_name: str = 'loss_ohem'):
        super().__init__(loss_name, loss_weight, class_weight)
        self.ignore_label = ignore_label
        self.thresh = thres
        self.min_kept = max(1, min_kept)

    def forward(self, score: Tensor, target: Tensor, ignore_index: int | None = None, **kwargs) -> Tensor:
        """Loss of logits (N, C, H, W) against classes (N, H, W); zero where every pixel is ignored.

        Pixels labelled `ignore_index` do not count either. One channel stands for class 1.
        """
        score = both_classes(score)
        valid = valid_pixels(target, self.ignore_label, ignore_index)
        target = check_labels(target.long() * valid, score.size(1), self.ignore_label)
        losses = F.cross_entropy(full_precision(score), target, reduction='none')
        prob = (-losses.detach()).exp()
        hard = valid & (prob < hard_threshold(prob, valid, self.thresh, self.min_kept))
        if self.class_weight is not None:
            losses = losses * self.class_weight_on(score.device)[target]
        return self.loss_weight * (losses * hard).sum() / hard.sum().clamp(min=1)
