"""Values of feature maps at arbitrary places."""
from __future__ import annotations

import torch
import torch.nn.functional as F


def point_sample(input: torch.Tensor, points: torch.Tensor, align_corners: bool = False, **kwargs) -> torch.Tensor:
    """Read (B, C, H, W) at points by interpolation; beyond the outermost pixels' centres it fades to zero.

    Time and memory are O(P C) for P points, whatever H and W; the gradient of the input takes O(H W C) besides.

    Args:
        points: (B, P, 2) or (B, P, Q, 2), x and y from 0 at the left and upper edge of the map to 1 at the others.
        align_corners: let 0 and 1 be the centres of the outermost pixels, not their outer edges.
        kwargs: go to :func:`torch.nn.functional.grid_sample`, such as `mode='nearest'`.

    Returns:
        (B, C, P) or (B, C, P, Q), of the type of `input`; computed no less exactly than the points are given.
    """
    grid = 2 * points - 1
    if points.dim() == 3:
        grid = grid.unsqueeze(2)
    exact = torch.promote_types(input.dtype, grid.dtype)  # a half-precision place is off by pixels
    values = F.grid_sample(input.to(exact), grid.to(exact), align_corners=align_corners, **kwargs).to(input.dtype)
    return values.squeeze(3) if points.dim() == 3 else values
