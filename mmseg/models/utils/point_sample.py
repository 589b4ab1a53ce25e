"""Points to train on: PointRend: Image Segmentation as Rendering, https://arxiv.org/abs/1912.08193, section 3.1."""
from __future__ import annotations

from collections.abc import Callable

import torch

from mmseg.ops import point_sample


def get_uncertainty(mask_preds: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """How near the logits of masks are to zero.

    Args:
        mask_preds: (R, C, ...) logits, of a mask for each class or of a single one.
        labels: (R,) which of the C masks counts.

    Returns:
        (R, 1, ...), at most 0.
    """
    if mask_preds.shape[1] > 1:
        mask_preds = mask_preds[torch.arange(len(mask_preds), device=mask_preds.device), labels].unsqueeze(1)
    return -mask_preds.abs()


def uncertain_points(logits: torch.Tensor, uncertainty: Callable[[torch.Tensor], torch.Tensor], num_points: int,
                     oversample_ratio: float, importance_sample_ratio: float) -> torch.Tensor:
    """Draw points at random, more of them where the logits are uncertain.

    Args:
        logits: (B, C, H, W).
        uncertainty: takes logits (B, C, P) to (B, 1, P), the larger the less certain.
        num_points: P, for each image.
        oversample_ratio: so many times as many candidates are drawn, of which the most uncertain are kept.
        importance_sample_ratio: the share of the points that is found so; the others are plainly random.

    Returns:
        (B, P, 2), x and y between 0 and 1.
    """
    if oversample_ratio < 1 or not 0 <= importance_sample_ratio <= 1:
        raise ValueError('oversample_ratio must be at least 1 and importance_sample_ratio from 0 to 1: found '
                         f'{oversample_ratio} and {importance_sample_ratio}')
    batch = len(logits)
    candidates = torch.rand(batch, int(num_points * oversample_ratio), 2, device=logits.device)
    # Of the interpolated logits: the mean of two certain but contrary ones is uncertain.
    value = uncertainty(point_sample(logits, candidates)).squeeze(1)  # B P
    wanted = int(importance_sample_ratio * num_points)
    index = value.topk(wanted, dim=1).indices
    chosen = candidates.gather(1, index.unsqueeze(2).expand(-1, -1, 2))
    anywhere = torch.rand(batch, num_points - wanted, 2, device=logits.device)
    return torch.cat([chosen, anywhere], dim=1)


def get_uncertain_point_coords_with_randomness(mask_preds: torch.Tensor, labels: torch.Tensor, num_points: int,
                                               oversample_ratio: float, importance_sample_ratio: float) -> torch.Tensor:
    """Draw points of masks by :func:`uncertain_points` with :func:`get_uncertainty`: (R, P, 2)."""
    return uncertain_points(mask_preds, lambda logits: get_uncertainty(logits, labels), num_points, oversample_ratio,
                            importance_sample_ratio)
