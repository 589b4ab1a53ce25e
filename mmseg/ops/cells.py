"""Labels from enlarged logits without enlarging them: cell by cell, for the classes that can win there."""
from __future__ import annotations

import torch

# Values that are interpolated, as a share of all classes at all pixels, from which on enlarging everything is quicker.
_TOO_MANY = 1 / 8


def neighbours(source: int, target: int, align_corners: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """For each of `target` samples: the source samples before and after it, and the weight of the latter."""
    place = torch.arange(target, dtype=torch.float32)
    if align_corners:
        place *= (source - 1) / max(target - 1, 1)
    else:
        place = ((place + 0.5) * (source / target) - 0.5).clamp_(min=0)
    before = place.long().clamp_(max=source - 1)
    return before, (before + 1).clamp_(max=source - 1), place - before


def label_by_cells(logits: torch.Tensor, size: tuple[int, int], align_corners: bool) -> torch.Tensor | None:
    """Return the class of each pixel after bilinear enlargement, (C, h, w) -> (H, W); None where this saves nothing.

    Between four samples a class stays between its values there. So it can only win in a cell if its largest corner
    reaches the best of all smallest corners. Mostly one class can, and rarely more than three: only these are
    interpolated.
    """
    _, h, w = logits.shape
    lowest, highest = _of_corners(logits, torch.minimum), _of_corners(logits, torch.maximum)
    floor, winner = lowest.max(0)
    able = highest >= floor  # C h w
    rivals = able.sum(0, dtype=torch.int16)
    rows, columns = (neighbours(source, target, align_corners) for source, target in zip((h, w), size))
    counts = rivals[rows[0]][:, columns[0]].flatten()
    pixels = (counts > 1).nonzero()[:, 0]
    counts = counts[pixels]
    if counts.sum() > _TOO_MANY * len(logits) * size[0] * size[1]:
        return None
    label = winner[rows[0]][:, columns[0]]
    if len(pixels):
        label.view(-1)[pixels] = _best_rival(logits, able, rivals, counts, pixels, rows, columns)
    return label


def _of_corners(logits: torch.Tensor, choose) -> torch.Tensor:
    """The smallest or largest of the four corners of each cell, which begins at its upper left sample: (C, h, w)."""
    for axis in (1, 2):
        last = logits.shape[axis] - 1
        inner = choose(logits.narrow(axis, 0, last), logits.narrow(axis, 1, last))
        logits = torch.cat([inner, logits.narrow(axis, last, 1)], axis)
    return logits


def _best_rival(logits: torch.Tensor, able: torch.Tensor, rivals: torch.Tensor, counts: torch.Tensor,
                pixels: torch.Tensor, rows: tuple, columns: tuple) -> torch.Tensor:
    """The class with the largest interpolated logit among those able to win, for some pixels of the enlarged map."""
    classes, h, w = logits.shape
    cells = (rivals.flatten() > 1).nonzero()[:, 0]
    # The rivals of all these cells in one list, and where those of each cell begin.
    listed = able.view(classes, -1)[:, cells].t().nonzero()[:, 1]
    begins = torch.zeros(h * w, dtype=torch.long)
    number = rivals.flatten()[cells].long()
    begins[cells] = number.cumsum(0) - number
    (upper, lower, down), (left, right, across) = rows, columns
    y, x = pixels // len(left), pixels % len(left)
    above, below, before, after = upper[y] * w, lower[y] * w, left[x], right[x]
    corners = [above + before, above + after, below + before, below + after]
    begin, down, across = begins[corners[0]], down[y], across[x]

    def value(chosen: torch.Tensor | slice, rival: torch.Tensor) -> torch.Tensor:
        first, second, third, fourth = (logits.view(-1)[rival * (h * w) + corner[chosen]] for corner in corners)
        return first.lerp(second, across[chosen]).lerp(third.lerp(fourth, across[chosen]), down[chosen])

    best = listed[begin]
    largest = value(slice(None), best)
    chosen = torch.arange(len(pixels))
    for place in range(1, int(counts.max())):
        chosen = chosen[counts[chosen] > place] if place > 1 else chosen  # of two rivals at least
        rival = listed[begin[chosen] + place]
        found = value(chosen, rival)
        better = found > largest[chosen]
        largest[chosen[better]], best[chosen[better]] = found[better], rival[better]
    return best
