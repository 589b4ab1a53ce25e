"""Channel counts that suit the hardware."""
from __future__ import annotations


def make_divisible(value: float, divisor: int, min_value: int | None = None, min_ratio: float = 0.9) -> int:
    """Round to the nearest multiple of `divisor`, at least `min_value` (by default `divisor`).

    Where rounding would lose too much, the result below `min_ratio * value`, the next multiple is taken.
    """
    nearest = int(value + divisor / 2) // divisor * divisor
    rounded = max(divisor if min_value is None else min_value, nearest)
    return rounded if rounded >= min_ratio * value else rounded + divisor
