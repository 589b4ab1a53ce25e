"""Calibration: whether pixels of which a network is 80 % sure are right in 80 % of cases.

On Calibration of Modern Neural Networks, https://arxiv.org/abs/1706.04599.
"""
from __future__ import annotations

import numpy as np
import torch

BINS = 15
CHUNK_ROWS = 128


def confidence_of(logits: torch.Tensor) -> torch.Tensor:
    """Probability of the most likely class: logits (C, H, W) -> (H, W), a few rows at a time.

    A single channel is the logit of class 1 against class 0.
    """
    if len(logits) == 1:
        return logits[0].float().abs().sigmoid()
    rows = [part.float() for part in logits.split(CHUNK_ROWS, dim=1)]
    return torch.cat([(part.amax(0) - part.logsumexp(0)).exp() for part in rows])


def reliability(confidence: np.ndarray, correct: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Sort pixels by confidence into bins of equal width: (3, bins), pixels, summed confidence, right pixels."""
    place = np.clip((confidence * bins).astype(np.int64), 0, bins - 1).ravel()
    return np.stack([np.bincount(place, weights, bins) for weights in (
        None, confidence.ravel().astype(np.float64), correct.ravel().astype(np.float64))])


def expected_calibration_error(sums: np.ndarray) -> np.ndarray:
    """Mean distance between confidence and accuracy over all pixels: (…, 3, bins) of :func:`reliability` -> (…)."""
    pixels, confidence, right = np.moveaxis(sums, -2, 0)
    with np.errstate(invalid='ignore'):
        return np.abs(confidence - right).sum(-1) / pixels.sum(-1)
