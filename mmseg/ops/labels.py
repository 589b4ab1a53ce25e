"""From the logits of a network to labels at the size of the original image, in bounded memory."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from mmseg.ops.cells import label_by_cells
from mmseg.ops.resize import resize

# Bytes of enlarged logits that exist at a time: small enough to stay in a processor's cache or to be lost in a GPU.
CHUNK_BYTES = 16 << 20
FLIPPED_AXES = {None: (), 'horizontal': (-1,), 'vertical': (-2,), 'diagonal': (-2, -1)}


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

    def __post_init__(self):
        if self.flip not in FLIPPED_AXES:
            raise ValueError(f'flip_direction {self.flip!r} is not one of {list(FLIPPED_AXES)}')


def restore_logits(logits: torch.Tensor, geometry: Geometry) -> torch.Tensor:
    """Bring logits (C, h, w) of any stride to (C, H, W) of the original image: enlarge, unpad, unflip, resize."""
    options = dict(mode='bilinear', align_corners=geometry.align_corners, warning=False)
    full = resize(logits[None], geometry.input_size, **options)
    left, right, top, bottom = geometry.padding
    full = full[..., top:full.shape[-2] - bottom, left:full.shape[-1] - right]
    if geometry.flip:
        full = full.flip(FLIPPED_AXES[geometry.flip])
    return resize(full, geometry.ori_shape or full.shape[-2:], **options)[0]


def logits_to_labels(logits: torch.Tensor, geometry: Geometry, threshold: float | None = None) -> torch.Tensor:
    """Label each pixel of the original image: (C, h, w) -> (1, H, W), int64.

    The result equals `restore_logits(...).argmax(0)`, up to ties within rounding, but never holds all classes at full
    size. A single channel is the logit of class 1: it is compared with `threshold` after the sigmoid. So is each of
    several where a threshold is given: a pixel may have several classes, and the result is (C, H, W), 0 or 1.
    """
    if logits.shape[0] == 1 or threshold is not None:
        return (restore_logits(logits, geometry).sigmoid() > threshold).long()
    left, right, top, bottom = geometry.padding
    height, width = geometry.input_size
    unpadded = (height - top - bottom, width - left - right)
    enlarged = geometry.ori_shape in (None, unpadded) and logits.shape[1:] != geometry.input_size
    if logits.device.type == 'cpu' and logits.dtype == torch.float32 and enlarged:
        label = label_by_cells(logits.contiguous(), geometry.input_size, geometry.align_corners)
        if label is not None:
            return label[None, top:height - bottom, left:width - right].flip(FLIPPED_AXES[geometry.flip])
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


def average_views(views: Sequence[torch.Tensor], threshold: float | None = None) -> torch.Tensor:
    """Label pixels by the mean probability over views: several (C, H, W) logits -> (1, H, W) as above."""
    alone = views[0].shape[0] == 1 or threshold is not None
    mean = sum(view.sigmoid() if alone else view.softmax(0) for view in views) / len(views)
    return (mean > threshold).long() if alone else mean.argmax(0, keepdim=True)
