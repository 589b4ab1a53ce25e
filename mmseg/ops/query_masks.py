"""Logits of classes from the masks of queries, and labels from them, in bounded memory."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from mmseg.ops.cells import neighbours
from mmseg.ops.labels import CHUNK_BYTES, FLIPPED_AXES, Geometry
from mmseg.ops.resize import resize

# A GPU is given larger pieces, or it would mostly wait for the next one.
GPU_CHUNK_BYTES = 16 * CHUNK_BYTES


@dataclass(frozen=True)
class QueryMasks:
    """Logits that are never stored: of class c, the sum over queries q of `scores[q, c] * sigmoid(masks[q])`.

    Masks are enlarged before the sigmoid, so Q masks and C logits of every pixel would have to exist at a time for its
    largest logit to be chosen. Here both exist for a strip of rows only.

    Args:
        scores: (N, Q, C), or (Q, C) of one image.
        masks: (N, Q, h, w) logits of any stride, or (Q, h, w); enlarged without aligned corners.
    """

    scores: torch.Tensor
    masks: torch.Tensor

    def __iter__(self) -> Iterator[QueryMasks]:
        return map(QueryMasks, self.scores, self.masks)

    def logits(self, size: tuple[int, int]) -> torch.Tensor:
        """The logits of a batch at the size of the network's input, (N, C, H, W)."""
        if torch.compiler.is_exporting() or torch.jit.is_tracing():  # a graph has no loop over strips
            masks = resize(self.masks, size, mode='bilinear', align_corners=False, warning=False).sigmoid()
            return torch.einsum('nqc,nqhw->nchw', self.scores, masks)
        out = self.scores.new_empty((len(self.scores), self.scores.shape[2], *size))
        for image, into in zip(self, out):
            image._fill(Geometry(tuple(size)), into)
        return out

    def restore(self, geometry: Geometry) -> torch.Tensor:
        """The logits of one image at its original size, (C, H, W): enlarged, unpadded, unflipped, resized."""
        return self._fill(geometry, self.scores.new_empty((self.scores.shape[1], *_target(geometry))))

    def labels(self, geometry: Geometry) -> torch.Tensor:
        """The class of each pixel of one image at its original size, (1, H, W), int64."""
        out = torch.empty(_target(geometry), dtype=torch.long, device=self.scores.device)
        for start, stop, shares in self._strips(geometry):
            rows = shares.flatten(1).t() @ self.scores  # (rows W) C
            out[start:stop] = rows.argmax(1).view(stop - start, -1)
        return out[None]

    def _fill(self, geometry: Geometry, out: torch.Tensor) -> torch.Tensor:
        for start, stop, shares in self._strips(geometry):
            out[:, start:stop] = (self.scores.t() @ shares.flatten(1)).view(len(out), stop - start, -1)
        return out

    def _strips(self, geometry: Geometry) -> Iterator[tuple[int, int, torch.Tensor]]:
        """Yield first row, row after the last, and what each query's mask covers there, (Q, rows, W)."""
        height, width = _target(geometry)
        limit = CHUNK_BYTES if self.masks.device.type == 'cpu' else GPU_CHUNK_BYTES
        rows = max(1, limit // (max(self.scores.shape) * width * self.scores.element_size()))
        for start in range(0, height, rows):
            stop = min(start + rows, height)
            yield start, stop, self._shares(geometry, start, stop)

    def _shares(self, geometry: Geometry, start: int, stop: int) -> torch.Tensor:
        """Rows of the original image: (Q, rows, W) probabilities of belonging to each mask."""
        left, right, top, bottom = geometry.padding
        height, width = geometry.input_size
        inner = height - top - bottom
        axes = FLIPPED_AXES[geometry.flip]

        def mask_rows(first: int, last: int) -> torch.Tensor:
            return self.masks[:, first:last]

        def unpadded_rows(first: int, last: int) -> torch.Tensor:
            if -2 in axes:  # rows from the other end, which are then turned around
                first, last = inner - last, inner - first
            rows = _resized_rows(mask_rows, self.masks.shape[1], (height, width), False, first + top, last + top)
            return rows[:, :, left:width - right].sigmoid().flip(axes)

        return _resized_rows(unpadded_rows, inner, _target(geometry), geometry.align_corners, start, stop)


def _target(geometry: Geometry) -> tuple[int, int]:
    """The size that labels shall have: the original image's, or the input's without padding."""
    left, right, top, bottom = geometry.padding
    height, width = geometry.input_size
    return geometry.ori_shape or (height - top - bottom, width - left - right)


def _resized_rows(rows_of: Callable[[int, int], torch.Tensor], source: int, size: tuple[int, int], align_corners: bool,
                  start: int, stop: int) -> torch.Tensor:
    """Rows of a map that is resized to `size` by bilinear interpolation: (C, stop - start, width).

    Args:
        rows_of: takes a first row and the one after the last to these rows of the map, (C, rows, w).
        source: the map's height.
    """
    if source == size[0]:
        rows = rows_of(start, stop)
    else:
        before, after, weight = (row[start:stop] for row in neighbours(source, size[0], align_corners))
        first = int(before[0])
        rows = rows_of(first, int(after[-1]) + 1)
        before, after, weight = (row.to(rows.device) for row in (before - first, after - first, weight[:, None]))
        rows = rows[:, before].lerp(rows[:, after], weight)
    return resize(rows[None], (stop - start, size[1]), mode='bilinear', align_corners=align_corners, warning=False)[0]
