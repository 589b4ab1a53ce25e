"""What a pixel sampler has to do."""
from __future__ import annotations

from abc import ABCMeta, abstractmethod

from torch import Tensor


class BasePixelSampler(metaclass=ABCMeta):
    """Chooses the pixels that a head's losses look at."""

    def __init__(self, **kwargs):
        super().__init__()

    @abstractmethod
    def sample(self, seg_logit: Tensor, seg_label: Tensor) -> Tensor:
        """Weight of each pixel, (N, H, W), for logits (N, C, H, W) and labels (N, 1, H, W)."""
