"""Heights and widths, also those that an export leaves open: they stand for numbers that come later."""
from __future__ import annotations

from collections.abc import Iterable

import torch

Side = int | torch.SymInt | torch.Tensor


def is_open(side: Side) -> bool:
    """Whether a side is left open by `torch.export` or by a trace."""
    return isinstance(side, torch.SymInt) or torch.jit.is_tracing() and isinstance(side, torch.Tensor)


def as_side(side: Side) -> Side:
    """Return a number as an integer and an open side as it is."""
    return side if is_open(side) else int(side)


def same_size(one: Iterable[Side], other: Iterable[Side]) -> bool:
    """Whether two sizes are equal; of open ones, whether they are whatever comes."""
    one, other = tuple(one), tuple(other)
    if len(one) == len(other) and any(isinstance(side, torch.SymInt) for side in one + other):
        from torch.fx.experimental.symbolic_shapes import statically_known_true
        return all(statically_known_true(a == b) for a, b in zip(one, other))
    return one == other
