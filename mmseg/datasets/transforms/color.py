"""Change the colours of an image; its labels stay."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import cv2
import numpy as np
from numpy import random

from mmseg.registry import TRANSFORMS

from .base import Transform, check

_LEVELS = np.arange(256, dtype=np.float32)
_BYTES = np.arange(256, dtype=np.uint8)
# Added before rounding, to drop the fraction instead: a little less than a half, which may round either way.
_DROP_FRACTION = -0.5 + 2 ** -13
_HUE, _SATURATION = 0, 1
# OpenCV keeps the hue of 8-bit images in steps of two degrees.
_HUES = 180
# Rows that take all steps before the next rows do: so few stay in the processor's cache.
_STRIP = 128


def _linear_table(alpha: float = 1, beta: float = 0) -> np.ndarray:
    """What becomes of each 8-bit level x: x * alpha + beta, clipped, the fraction dropped."""
    return np.clip(_LEVELS * alpha + beta, 0, 255).astype(np.uint8)


def _look_up(image: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Replace each level of an 8-bit image by its entry in a table of 256."""
    return cv2.LUT(image, table).reshape(image.shape)


def _level_step(brightness: float | None, contrast: float | None) -> Callable[[np.ndarray], np.ndarray] | None:
    """The quickest function that adds to the levels of three bands, then multiplies them; None stands for neither."""
    if brightness is None and contrast is None:
        return None
    table = _BYTES if brightness is None else _linear_table(beta=brightness)
    if contrast is not None:
        table = _linear_table(contrast)[table]
        step = partial(cv2.convertScaleAbs, alpha=contrast, beta=_DROP_FRACTION)
    else:
        shift = int(table[128]) - 128
        step = partial(cv2.add if shift > 0 else cv2.subtract, src2=(abs(shift),) * 4)
    same = np.array_equal(step(np.dstack([_BYTES] * 3))[..., 0].ravel(), table)
    return step if same else partial(cv2.LUT, lut=table)


def _look_up_hsv(image: np.ndarray, channel: int, table: np.ndarray | None) -> np.ndarray:
    """Replace hue or saturation of an 8-bit BGR image by its entry in a table of 256; no table, no change."""
    if table is None:
        return image
    hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
    cv2.insertChannel(cv2.LUT(cv2.extractChannel(hsv, channel), table), hsv, channel)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)


@TRANSFORMS.register_module()
class PhotoMetricDistortion(Transform):
    """Brightness, contrast, saturation and hue change at random, each with probability 1/2 (8-bit BGR images).

    The contrast changes, by another throw, before or after the colours. Brightness and contrast are functions of the
    level, so one table of 256 entries does both in a single pass.

    Args:
        brightness_delta: most that is added to a level.
        contrast_range: range of the factor of levels.
        saturation_range: range of the factor of the saturation.
        hue_delta: most that is added to the hue, in steps of two degrees.
    """

    def __init__(self, brightness_delta: int = 32, contrast_range: Sequence[float] = (0.5, 1.5),
                 saturation_range: Sequence[float] = (0.5, 1.5), hue_delta: int = 18):
        self.brightness_delta = brightness_delta
        self.contrast_range = tuple(contrast_range)
        self.saturation_range = tuple(saturation_range)
        self.hue_delta = hue_delta

    # ------------------------------------------------------------------ draws: what to do, or None

    def _draw_brightness(self) -> float | None:
        return random.uniform(-self.brightness_delta, self.brightness_delta) if random.randint(2) else None

    def _draw_contrast(self) -> float | None:
        return random.uniform(*self.contrast_range) if random.randint(2) else None

    def _draw_saturation(self) -> np.ndarray | None:
        return _linear_table(alpha=random.uniform(*self.saturation_range)) if random.randint(2) else None

    def _draw_hue(self) -> np.ndarray | None:
        if not random.randint(2):
            return None
        return ((np.arange(256) + random.randint(-self.hue_delta, self.hue_delta)) % _HUES).astype(np.uint8)

    # ------------------------------------------------------------------ single steps

    def convert(self, img: np.ndarray, alpha: float = 1, beta: float = 0) -> np.ndarray:
        """Return img * alpha + beta, clipped to 8 bits, the fraction dropped."""
        if img.dtype == np.uint8:
            return _look_up(img, _linear_table(alpha, beta))
        return np.clip(img.astype(np.float32) * alpha + beta, 0, 255).astype(np.uint8)

    def brightness(self, img: np.ndarray) -> np.ndarray:
        """Add a random number to all levels, or leave them."""
        beta = self._draw_brightness()
        return img if beta is None else self.convert(img, beta=beta)

    def contrast(self, img: np.ndarray) -> np.ndarray:
        """Multiply all levels by a random factor, or leave them."""
        alpha = self._draw_contrast()
        return img if alpha is None else self.convert(img, alpha)

    def saturation(self, img: np.ndarray) -> np.ndarray:
        """Multiply the saturation by a random factor, or leave it."""
        return _look_up_hsv(img, _SATURATION, self._draw_saturation())

    def hue(self, img: np.ndarray) -> np.ndarray:
        """Turn the hue by a random angle, or leave it."""
        return _look_up_hsv(img, _HUE, self._draw_hue())

    # ------------------------------------------------------------------ all in one

    def _as_8_bit(self, image: np.ndarray) -> np.ndarray:
        shape = ' x '.join(map(str, image.shape))
        check(image.ndim == 3 and image.shape[2] == 3 and image.dtype in (np.uint8, np.float32, np.float64), self,
              f'an image of {image.dtype}, {shape}',
              'three bands (BGR) with levels from 0 to 255: leave this transform out for other images')
        return self.convert(image) if image.dtype != np.uint8 else image

    def transform(self, results: dict) -> dict:
        image = self._as_8_bit(results['img'])
        brightness = self._draw_brightness()
        contrast_first = random.randint(2)
        before = _level_step(brightness, self._draw_contrast() if contrast_first else None)
        saturation, hue = self._draw_saturation(), self._draw_hue()
        after = None if contrast_first else _level_step(None, self._draw_contrast())
        # (H, W, C) to all who look, but laid out as (C, H, W): PackSegInputs, which mostly comes next, need not copy.
        planes = np.empty((3, *image.shape[:2]), np.uint8)
        for top in range(0, len(image), _STRIP):
            rows = slice(top, top + _STRIP)
            strip = before(image[rows]) if before else image[rows]
            strip = _look_up_hsv(strip, _SATURATION, saturation)
            strip = _look_up_hsv(strip, _HUE, hue)
            cv2.split(after(strip) if after else strip, list(planes[:, rows]))
        results['img'] = planes.transpose(1, 2, 0)
        return results


@TRANSFORMS.register_module()
class AdjustGamma(Transform):
    """Raise the levels of an 8-bit image, as fractions of 255, to the power 1 / gamma."""

    def __init__(self, gamma: float = 1.0):
        check(isinstance(gamma, (int, float)) and gamma > 0, self, f'gamma={gamma}', 'a positive number')
        self.gamma = gamma
        self.table = (255 * (np.arange(256) / 255) ** (1 / gamma)).astype(np.uint8)

    def transform(self, results: dict) -> dict:
        results['img'] = _look_up(np.asarray(results['img'], np.uint8), self.table)
        return results


@TRANSFORMS.register_module()
class CLAHE(Transform):
    """Contrast-limited adaptive histogram equalisation of each band (Zuiderveld, Graphics Gems IV, 1994).

    Args:
        clip_limit: height at which the histogram of a tile is cut.
        tile_grid_size: number of tiles, (columns, rows).
    """

    def __init__(self, clip_limit: float = 40.0, tile_grid_size: tuple[int, int] = (8, 8)):
        check(len(tile_grid_size) == 2, self, f'tile_grid_size={tile_grid_size}', 'numbers of columns and of rows')
        self.clip_limit = clip_limit
        self.tile_grid_size = tuple(tile_grid_size)

    def transform(self, results: dict) -> dict:
        image = np.asarray(results['img'], np.uint8)
        equalize = cv2.createCLAHE(self.clip_limit, self.tile_grid_size).apply
        bands = [equalize(np.ascontiguousarray(band)) for band in np.moveaxis(np.atleast_3d(image), -1, 0)]
        results['img'] = np.stack(bands, -1).reshape(image.shape)
        return results


@TRANSFORMS.register_module()
class Rerange(Transform):
    """Stretch the levels of an image linearly so that they reach from `min_value` to `max_value`."""

    def __init__(self, min_value: float = 0, max_value: float = 255):
        check(min_value < max_value, self, f'min_value={min_value}, max_value={max_value}', 'the first to be smaller')
        self.min_value = min_value
        self.max_value = max_value

    def transform(self, results: dict) -> dict:
        image = results['img']
        lowest, highest = image.min(), image.max()
        check(lowest < highest, self, f'an image whose pixels are all {lowest}', 'at least two levels to stretch')
        results['img'] = (image - lowest) / (highest - lowest) * (self.max_value - self.min_value) + self.min_value
        return results


@TRANSFORMS.register_module()
class RGB2Gray(Transform):
    """Replace the bands by copies of their weighted sum.

    Args:
        out_channels: how many copies; as many as there are weights by default.
        weights: one for each band.
    """

    def __init__(self, out_channels: int | None = None, weights: Sequence[float] = (0.299, 0.587, 0.114)):
        check(out_channels is None or out_channels > 0, self, f'out_channels={out_channels}', 'at least 1')
        self.out_channels = out_channels
        self.weights = tuple(weights)

    def transform(self, results: dict) -> dict:
        image = results['img']
        check(image.ndim == 3 and image.shape[2] == len(self.weights), self,
              f'an image of shape {image.shape} for {len(self.weights)} weights', 'one weight for each band')
        gray = (image * np.array(self.weights)).sum(2, keepdims=True)
        results['img'] = gray.repeat(self.out_channels or len(self.weights), axis=2)
        results['img_shape'] = results['img'].shape
        return results
