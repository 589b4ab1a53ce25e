"""From the logits of a network to labels at the size of the original image, in bounded memory."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from mmseg.ops.resize import resize

# Bytes of enlarged logits that exist at a time: small enough to stay in a processor's cache or to be lost in a GPU.
CHUNK_BYTES = 16 << 20


@dataclass(frozen=True)
class Geometry:
    """How an image was prepared for the network, so that its logits can be brought back.

    Args:
        input_size: height and width of what the network saw.
        padding: left, right, top, bottom, in pixels of that input.
        flip: `'horizontal'`, `'vertical'`, `'diagonal'` or None.
        ori_shape: height and width of the original image.
        align_corners: as the decode head resizes.
    """

    input_size: tuple[int, int]
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    flip: str | None = None
    ori_shape: tuple[int, int] | None = None
    align_corners: bool = False


_FLIPPED_AXES = {None: (), 'horizontal': (-1,), 'vertical': (-2,), 'diagonal': (-2, -1)}


def restore_logits(logits: torch.Tensor, geometry: Geometry) -> torch.Tensor:
    """Bring logits (C, h, w) of any stride to (C, H, W) of the original image: enlarge, unpad, unflip, resize."""
    if geometry.flip not in _FLIPPED_AXES:
        raise ValueError(f'flip_direction {geometry.flip!r} is not one of {list(_FLIPPED_AXES)}')
    options = dict(mode='bilinear', align_corners=geometry.align_corners, warning=False)
    full = resize(logits[None], geometry.input_size, **options)
    left, right, top, bottom = geometry.padding
    full = full[..., top:full.shape[-2] - bottom, left:full.shape[-1] - right]
    if geometry.flip:
        full = full.flip(_FLIPPED_AXES[geometry.flip])
    return resize(full, geometry.ori_shape or full.shape[-2:], **options)[0]


def logits_to_labels(logits: torch.Tensor, geometry: Geometry, threshold: float | None = None) -> torch.Tensor:
    """Label each pixel of the original image: (C, h, w) -> (1, H, W), int64.

    The result equals `restore_logits(...).argmax(0)`, up to ties within rounding, but never holds all classes at full
    size. A single channel is the logit of class 1: it is compared with `threshold` after the sigmoid.
    """
    if logits.shape[0] == 1:
        return (restore_logits(logits, geometry).sigmoid() > threshold).long()
    left, right, top, bottom = geometry.padding
    height, width = geometry.input_size
    unpadded = (height - top - bottom, width - left - right)
    if logits.device.type == 'cpu' and logits.dtype == torch.float32 and geometry.ori_shape in (None, unpadded):
        label = _label_by_cells(logits, geometry.input_size, geometry.align_corners)
        if label is not None:
            return label[None, top:height - bottom, left:width - right].flip(_FLIPPED_AXES[geometry.flip])
    return _label_by_classes(logits, geometry)[None]


def _label_by_classes(logits: torch.Tensor, geometry: Geometry) -> torch.Tensor:
    """Enlarge the classes a few at a time beside the best so far: (C, h, w) -> (H, W)."""
    height, width = map(max, zip(geometry.input_size, geometry.ori_shape or geometry.input_size))
    chunk = max(1, CHUNK_BYTES // (height * width * logits.element_size()))
    best, label = restore_logits(logits[:chunk], geometry).max(0)
    for start in range(chunk, len(logits), chunk):
        value, index = restore_logits(logits[start:start + chunk], geometry).max(0)
        torch.where(value > best, index.add_(start), label, out=label)
        torch.maximum(best, value, out=best)
    return label


def _label_by_cells(logits: torch.Tensor, size: tuple[int, int], align_corners: bool) -> torch.Tensor | None:
    """Enlarge only where labels can change: (C, h, w) -> (H, W), or None where that would be most of the image.

    Bilinear interpolation is a convex combination of the four corners of a cell, so a class that is the largest at all
    four is the largest everywhere between them. Only the other cells, along borders, need their logits.
    """
    _, h, w = logits.shape
    coarse = logits.argmax(0)
    down, across = (coarse.roll(-1, axis) for axis in (0, 1))
    down[-1], across[:, -1] = coarse[-1], coarse[:, -1]
    diagonal = down.roll(-1, 1)
    diagonal[:, -1] = down[:, -1]
    mixed = (coarse != down) | (coarse != across) | (coarse != diagonal)

    (row, next_row, row_weight), (column, next_column, column_weight) = (
        _neighbours(source, target, align_corners) for source, target in zip((h, w), size))
    places = mixed[row][:, column].flatten().nonzero()[:, 0]
    if 2 * len(places) > size[0] * size[1]:
        return None
    label = coarse[row][:, column]
    table = logits.permute(1, 2, 0).reshape(h * w, -1)
    for some in places.split(max(1, CHUNK_BYTES // (8 * table[0].nbytes))):
        y, x = some // size[1], some % size[1]
        wx, wy = column_weight[x, None], row_weight[y, None]
        upper, lower = (table[r[y] * w + column[x]].mul_(1 - wx).addcmul_(table[r[y] * w + next_column[x]], wx)
                        for r in (row, next_row))
        label.view(-1)[some] = upper.mul_(1 - wy).addcmul_(lower, wy).argmax(1)
    return label


def _neighbours(source: int, target: int, align_corners: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """For each of `target` samples: the source samples before and after it, and the weight of the latter."""
    place = torch.arange(target, dtype=torch.float32)
    if align_corners:
        place *= (source - 1) / max(target - 1, 1)
    else:
        place = ((place + 0.5) * (source / target) - 0.5).clamp_(min=0)
    before = place.long().clamp_(max=source - 1)
    return before, (before + 1).clamp_(max=source - 1), place - before


def average_views(views: Sequence[torch.Tensor], threshold: float | None = None) -> torch.Tensor:
    """Label pixels by the mean probability over views: several (C, H, W) logits -> (1, H, W) as above."""
    single = views[0].shape[0] == 1
    mean = sum(view.sigmoid() if single else view.softmax(0) for view in views) / len(views)
    return (mean > threshold).long() if single else mean.argmax(0, keepdim=True)
