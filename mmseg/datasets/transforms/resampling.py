"""Resize, flip and rotate arrays of any type and number of bands; resize only the window that a crop will take."""
from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import mmcv
import numpy as np

# What OpenCV takes and gives back as the same type.
_CV2_TYPES = frozenset(map(np.dtype, (np.uint8, np.int8, np.uint16, np.int16, np.int32, np.float32, np.float64)))
_INTERPOLATIONS = {'bilinear': cv2.INTER_LINEAR, 'bicubic': cv2.INTER_CUBIC, 'area': cv2.INTER_AREA,
                   'lanczos': cv2.INTER_LANCZOS4}
_FLIPS = {'horizontal': (1, (1,)), 'vertical': (0, (0,)), 'diagonal': (-1, (0, 1))}
_DIRECTIONS = {(False, False): None, (False, True): 'horizontal', (True, False): 'vertical', (True, True): 'diagonal'}
# Which share less of a side to compute, and how many pixels, are worth that a window is counted backwards.
_WORTH_FLIPPING = 0.3, 128
# How far from its position the widest kernel (Lanczos) reads.
_KERNEL_REACH = 4
_WARP_BANDS = 4


def _like(result: np.ndarray, array: np.ndarray) -> np.ndarray:
    """Give back the axis of a single band, which OpenCV drops."""
    return result.reshape(*result.shape[:2], *array.shape[2:])


def _nearest_indices(length: int, new_length: int, start: int = 0, stop: int | None = None) -> np.ndarray:
    """Which of `length` pixels OpenCV's nearest neighbour takes for each of `new_length`, or for a part of these."""
    step = 1 / (new_length / length)
    stop = new_length if stop is None else stop
    return np.minimum((np.arange(start, stop) * step).astype(np.intp), length - 1)


def _take_columns(array: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return (H, n) or (H, n, C) with those columns of an array."""
    if array.ndim == 2 and array.dtype in _CV2_TYPES:  # rows are moved as a whole, and transposed in no time
        return cv2.transpose(cv2.transpose(array).take(columns, axis=0, mode='clip'))
    return array.take(columns, axis=1, mode='clip')


def resize_array(array: np.ndarray | PendingResize, size: tuple[int, int], interpolation: str,
                 backend: str = 'cv2') -> np.ndarray | PendingResize:
    """Resize (H, W) or (H, W, C) to `size` = (width, height)."""
    if isinstance(array, PendingResize):
        return array.resized(size, interpolation, backend)
    if interpolation == 'nearest' and array.dtype not in _CV2_TYPES:
        rows, columns = (_nearest_indices(*lengths) for lengths in zip(array.shape, size[::-1]))
        return array.take(columns, axis=1)[rows]
    return _like(mmcv.imresize(array, size, interpolation=interpolation, backend=backend), array)


def flip_array(array: np.ndarray, direction: str) -> np.ndarray:
    """Flip (H, W) or (H, W, C) `horizontal`, `vertical` or `diagonal` (both) into a new, contiguous array."""
    code, axes = _FLIPS[direction]
    if array.dtype in _CV2_TYPES:
        return _like(cv2.flip(array, code), array)
    return np.ascontiguousarray(np.flip(array, axes))


def by_bands(function: Callable[[np.ndarray], np.ndarray], array: np.ndarray) -> np.ndarray:
    """Apply a function that takes at most four bands, as OpenCV's warps do, to an array of any number."""
    if array.ndim == 2 or array.shape[2] <= _WARP_BANDS:
        result = function(array)
        return result if array.ndim == 2 else result.reshape(*result.shape[:2], array.shape[2])
    return np.dstack([function(array[..., first:first + _WARP_BANDS])
                      for first in range(0, array.shape[2], _WARP_BANDS)])


class PendingResize:
    """An array that behaves as if it had been resized, but computes only the windows that are taken from it.

    A crop of 512 x 1024 from a street picture enlarged to 2048 x 4096 needs a sixteenth of its pixels. The window's
    pixels are those of the whole; 8-bit bilinear ones may differ by a grey level, see :meth:`_interpolated`.

    >>> image = PendingResize(pixels).resized((4096, 2048), 'bilinear')
    >>> image.shape, image[512:1024, 0:1024].shape
    ((2048, 4096, 3), (512, 1024, 3))
    """

    def __init__(self, source: np.ndarray, size: tuple[int, int] | None = None, interpolation: str = 'nearest'):
        self.source = source
        self.size = size or source.shape[1::-1]
        self.interpolation = interpolation
        self._latest: tuple = (None, None)

    def resized(self, size: tuple[int, int], interpolation: str, backend: str) -> np.ndarray | PendingResize:
        """Put off a resize by OpenCV; one by another backend, or of a pending one, takes place."""
        if backend == 'cv2' and self.shape == self.source.shape:
            return PendingResize(self.source, tuple(size), interpolation)
        return resize_array(self[:, :], size, interpolation, backend)

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.size[::-1], *self.source.shape[2:])

    def __getitem__(self, window: tuple[slice, slice]) -> np.ndarray:
        """Return the pixels of a window (rows, columns), which may reach over the far edges.

        The latest window is kept: a crop tests the labels that it then takes.
        """
        rows, columns = (slice(*part.indices(length)) for part, length in zip(window, self.shape))
        if self._latest[0] != (rows, columns):
            self._latest = (rows, columns), self._compute(rows, columns)
        return self._latest[1]

    def _compute(self, rows: slice, columns: slice) -> np.ndarray:
        if self.shape == self.source.shape:
            return self.source[rows, columns]
        if self.interpolation == 'nearest':
            return self._nearest(rows, columns)
        return self._interpolated(rows, columns)

    def _nearest(self, rows: slice, columns: slice) -> np.ndarray:
        rows, columns = (_nearest_indices(*lengths, part.start, part.stop)
                         for *lengths, part in zip(self.source.shape, self.shape, (rows, columns)))
        if self.shape[0] < self.source.shape[0]:
            return _take_columns(self.source[rows], columns)
        # Rows repeat where the array is enlarged: pick the columns of each but once.
        band = _take_columns(self.source[rows[0]:rows[-1] + 1], columns)
        return band.take(rows - rows[0], axis=0, mode='clip')

    def _interpolated(self, rows: slice, columns: slice) -> np.ndarray:
        """Resize the part between a corner and the window's far edges, and cut the window out of it.

        OpenCV counts positions from the first pixel in single precision and rounds weights to 1/2048: only a part that
        begins where the whole begins has the same weights. One that ends where the whole ends nearly has, counted
        backwards: where it is much smaller, one grey level in two of a thousand pixels is given for it.
        """
        flips = [False, False]
        if self.interpolation == 'bilinear' and self.source.dtype == np.uint8:
            (rows, columns), flips = zip(*map(_from_nearest_end, (rows, columns), self.shape))
        scales = [new / old for new, old in zip(self.shape, self.source.shape)]
        sides = [min(math.ceil(part.stop / scale) + _KERNEL_REACH, length)
                 for part, scale, length in zip((rows, columns), scales, self.source.shape)]
        part = self.source[tuple(slice(-side, None) if flip else slice(side) for side, flip in zip(sides, flips))]
        direction = _DIRECTIONS[tuple(flips)]
        if direction:
            part = flip_array(part, direction)
        part = cv2.resize(part, None, fx=scales[1], fy=scales[0],
                          interpolation=_INTERPOLATIONS[self.interpolation])
        window = _like(part, self.source)[rows, columns]
        return flip_array(window, direction) if direction else window


def _from_nearest_end(part: slice, length: int) -> tuple[slice, bool]:
    """Return a slice, counted from the end if that saves a good deal, and whether it does."""
    backwards = slice(length - part.stop, length - part.start)
    share, pixels = _WORTH_FLIPPING
    return (backwards, True) if part.stop - backwards.stop > max(share * part.stop, pixels) else (part, False)
