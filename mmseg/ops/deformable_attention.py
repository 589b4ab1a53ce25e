"""Multi-scale deformable attention of Deformable DETR, https://arxiv.org/abs/2010.04159, equation 3."""
from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F


def multi_scale_deformable_attention(value: torch.Tensor, spatial_shapes: Sequence[tuple[int, int]],
                                     sampling_locations: torch.Tensor,
                                     attention_weights: torch.Tensor) -> torch.Tensor:
    """Let each query gather from a few places of each of L maps, between pixels by interpolation.

    Beyond the outermost pixels' centres a map fades to zero. Time and memory are O(B N C L P), whatever the maps' size.

    Args:
        value: (B, S, heads, c), the maps row by row and one after another.
        spatial_shapes: height and width of each of the L maps; S is the sum of their products.
        sampling_locations: (B, N, heads, L, P, 2), x and y from 0 at the left and upper edge of a map to 1 at the
            others; computed no less exactly than these are given.
        attention_weights: (B, N, heads, L, P).

    Returns:
        (B, N, heads * c), of the type of `value`.
    """
    areas = [height * width for height, width in spatial_shapes]
    if value.shape[1] != sum(areas):
        raise ValueError(f'maps of {list(spatial_shapes)} have {sum(areas)} places, found {value.shape[1]}')
    if sampling_locations.shape[3] != len(areas):
        raise ValueError(f'{len(areas)} maps need places in each, found places in {sampling_locations.shape[3]}')
    batch, _, heads, _ = value.shape
    exact = torch.promote_types(value.dtype, sampling_locations.dtype)
    maps = value.to(exact).permute(0, 2, 3, 1).flatten(0, 1)  # B S heads c -> (B heads) c S
    # The queries come last, where both processors and GPUs work through them side by side.
    grid = (2 * sampling_locations.to(exact) - 1).permute(3, 0, 2, 4, 1, 5).flatten(1, 2)  # L (B heads) P N 2
    weights = attention_weights.to(exact).permute(3, 0, 2, 4, 1).flatten(1, 2).unsqueeze(2)  # L (B heads) 1 P N
    gathered = 0
    for level, (area, shape) in enumerate(zip(maps.split(areas, dim=2), spatial_shapes)):
        values = F.grid_sample(area.unflatten(2, tuple(shape)), grid[level], align_corners=False)  # (B heads) c P N
        gathered = gathered + (values * weights[level]).sum(2)
    return gathered.unflatten(0, (batch, heads)).permute(0, 3, 1, 2).flatten(2).to(value.dtype)  # B N (heads c)
