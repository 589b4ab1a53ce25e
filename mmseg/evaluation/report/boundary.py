"""Boundary IoU: Improving Object-Centric Image Segmentation Evaluation, https://arxiv.org/abs/2103.16562.

The intersection over union of only those pixels of a class, in the truth and in the prediction, that lie near the
border of their regions. It tells apart what IoU does not: whether the outlines of large regions are right.
"""
from __future__ import annotations

import cv2
import numpy as np
import torch

from mmseg.ops import confusion_matrix

# Width of the band along borders, as a share of the image's diagonal.
BAND = 0.02
_IGNORED, _OUTSIDE = 65534, 65535


def band_width(height: int, width: int, share: float = BAND) -> int:
    """Width of the band in pixels."""
    return max(1, round(share * float(np.hypot(height, width))))


def near_border(labels: np.ndarray, width: int) -> np.ndarray:
    """Which pixels (H, W) of a label map lie within `width` of another label, or of the border of the image.

    A mask, eroded by a square of that radius, loses just these pixels; so two filters serve all classes at once.
    """
    square = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    framed = cv2.copyMakeBorder(labels.astype(np.uint16), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=_OUTSIDE)
    mixed = cv2.erode(framed, square) != cv2.dilate(framed, square)
    return mixed[1:-1, 1:-1]


def boundary_areas(pred: np.ndarray, truth: np.ndarray, num_classes: int, ignore_index: int = 255,
                   share: float = BAND) -> np.ndarray:
    """Count the pixels near borders of an image: (3, num_classes), in both, in the prediction, in the truth.

    Args:
        pred, truth: labels (H, W). Ignored pixels of the truth count in neither, and end a region in both.
    """
    ignored = truth == ignore_index
    pred, truth = (np.where(ignored, _IGNORED, labels) for labels in (pred, truth))
    width = band_width(*truth.shape, share)
    bands = [np.where(near_border(labels, width) & ~ignored, labels, num_classes) for labels in (pred, truth)]
    matrix = confusion_matrix(*map(torch.from_numpy, bands), num_classes + 1, None).numpy()
    inside = slice(num_classes)
    return np.stack([matrix.diagonal()[inside], matrix.sum(0)[inside], matrix.sum(1)[inside]])
