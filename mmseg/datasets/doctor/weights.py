"""Class weights for `loss_decode=dict(class_weight=[…])`, from how often each class occurs."""
from __future__ import annotations

import numpy as np

ABSENT = 1.0  # the weight of a class without pixels, of which there is nothing to weigh


def median_frequency_balancing(pixels: np.ndarray, pixels_around: np.ndarray) -> np.ndarray:
    """Weight classes by median(f) / f, where f is a class's share of the images it occurs in.

    Eigen and Fergus, https://arxiv.org/abs/1411.4734, section 6.3.2; SegNet, https://arxiv.org/abs/1511.00561.

    Args:
        pixels: of each class.
        pixels_around: labelled pixels of all images that hold the class.
    """
    present = pixels > 0
    weights = np.full(len(pixels), ABSENT)
    frequency = pixels[present] / pixels_around[present]
    weights[present] = np.median(frequency) / frequency if present.any() else ABSENT
    return weights


def enet(pixels: np.ndarray, constant: float = 1.02) -> np.ndarray:
    """Weight classes by 1 / ln(1.02 + p), p the class's share of all labelled pixels: from 1.4 to 50.

    ENet, https://arxiv.org/abs/1606.02147, section 5.2.
    """
    share = pixels / max(pixels.sum(), 1)
    return np.where(pixels > 0, 1 / np.log(constant + share), ABSENT)


