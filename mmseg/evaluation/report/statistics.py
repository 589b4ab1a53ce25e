"""Statistics that are gathered image by image, in a few numbers for each, so that their uncertainty can be told."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from mmseg.evaluation.report.boundary import boundary_areas
from mmseg.evaluation.report.calibration import confidence_of, expected_calibration_error, reliability
from mmseg.ops import confusion_matrix

ROUNDS = 1000
LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A figure, or one for each class, with the ends of its confidence interval; all are fractions."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


def iou(areas: np.ndarray) -> np.ndarray:
    """Intersection over union from pixels in both, predicted and labelled: (…, 3, C) -> (…, C); NaN without any."""
    both, predicted, labelled = np.moveaxis(areas, -2, 0)
    return _share(both, predicted + labelled - both)


def recall(areas: np.ndarray) -> np.ndarray:
    """Share of the labelled pixels that are found, which 1.x calls Acc: (…, 3, C) -> (…, C)."""
    return _share(areas[..., 0, :], areas[..., 2, :])


def precision(areas: np.ndarray) -> np.ndarray:
    """Share of the predicted pixels that are right: (…, 3, C) -> (…, C)."""
    return _share(areas[..., 0, :], areas[..., 1, :])


def accuracy(areas: np.ndarray) -> np.ndarray:
    """Share of all labelled pixels that are right: (…, 3, C) -> (…)."""
    return _share(areas[..., 0, :].sum(-1), areas[..., 2, :].sum(-1))


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    with np.errstate(divide='ignore', invalid='ignore'):
        return np.asarray(part / whole, dtype=np.float64)


def mean(values: np.ndarray) -> np.ndarray:
    """Mean over the classes that occur: (…, C) -> (…); NaN where none does."""
    known = np.isfinite(values)
    return _share(np.where(known, values, 0).sum(-1), known.sum(-1))


class Statistics:
    """What is counted of each image: areas of the classes, also near their borders, and right pixels by confidence.

    Args:
        num_classes: of the labels.
        ignore_index: pixels of this label do not count.
    """

    def __init__(self, num_classes: int, ignore_index: int = 255):
        self.num_classes, self.ignore_index = num_classes, ignore_index
        self.matrix = np.zeros((num_classes, num_classes), np.int64)
        self._areas: list[np.ndarray] = []
        self._boundary: list[np.ndarray] = []
        self._reliability: list[np.ndarray] = []

    def __len__(self) -> int:
        return len(self._areas)

    def add(self, pred: np.ndarray, truth: np.ndarray, logits: torch.Tensor | None = None) -> float:
        """Count an image, labels (H, W) and logits (C, H, W), and return the mean IoU of the classes that it holds."""
        matrix = confusion_matrix(pred, truth, self.num_classes, self.ignore_index).cpu().numpy()
        self.matrix += matrix
        self._areas.append(np.stack([matrix.diagonal(), matrix.sum(0), matrix.sum(1)]))
        self._boundary.append(boundary_areas(pred, truth, self.num_classes, self.ignore_index))
        if logits is not None:
            known = truth != self.ignore_index
            confidence = confidence_of(logits).cpu().numpy()
            self._reliability.append(reliability(confidence[known], (pred == truth)[known]))
        return float(mean(iou(self._areas[-1])))

    @property
    def areas(self) -> np.ndarray:
        """Pixels of each image in both, predicted and labelled: (N, 3, C)."""
        return np.stack(self._areas)

    @property
    def boundary(self) -> np.ndarray:
        """The same of pixels near borders."""
        return np.stack(self._boundary)

    @property
    def reliability(self) -> np.ndarray | None:
        """Sums of :func:`mmseg.evaluation.report.calibration.reliability` of each image, (N, 3, bins)."""
        return np.stack(self._reliability) if self._reliability else None

    def figures(self, rounds: int = ROUNDS) -> dict[str, Estimate]:
        """Estimate the figures of the data set, and of each class where the name is in the plural."""
        wanted: dict[str, tuple[np.ndarray, Callable]] = {
            'mIoU': (self.areas, lambda sums: mean(iou(sums))),
            'mAcc': (self.areas, lambda sums: mean(recall(sums))),
            'aAcc': (self.areas, accuracy),
            'boundary mIoU': (self.boundary, lambda sums: mean(iou(sums))),
            'IoUs': (self.areas, iou),
            'recalls': (self.areas, recall),
            'precisions': (self.areas, precision),
            'boundary IoUs': (self.boundary, iou)}
        if self._reliability:
            wanted['ECE'] = self.reliability, expected_calibration_error
        return {name: bootstrap(sums, statistic, rounds) for name, (sums, statistic) in wanted.items()}


def bootstrap(sums: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray], rounds: int = ROUNDS,
              level: float = LEVEL) -> Estimate:
    """Estimate how much a statistic would change with other images: draw as many as there are, again and again.

    Args:
        sums: of each image, (N, …); a statistic is a function of their sum over images.
        statistic: (rounds, …) -> (rounds, …).
        level: share of the draws between the two ends.
    """
    images = len(sums)
    draws = np.random.default_rng(0).multinomial(images, np.full(images, 1 / images), rounds)
    drawn = (draws.astype(np.float64) @ sums.reshape(images, -1)).reshape(rounds, *sums.shape[1:])
    value, spread = statistic(sums.sum(0)), statistic(drawn)
    tail = (1 - level) / 2
    known = np.isfinite(spread).any(0)
    low, high = np.nanquantile(np.where(known, spread, 0.), (tail, 1 - tail), axis=0)
    return Estimate(value, np.where(known, low, np.nan), np.where(known, high, np.nan))
