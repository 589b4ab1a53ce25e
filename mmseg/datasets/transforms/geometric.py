"""Resize, crop, flip and rotate an image together with its labels."""
from __future__ import annotations

import itertools

import mmcv
import mmcv.transforms
import numpy as np
from mmcv.transforms.utils import cache_randomness

from mmseg.registry import TRANSFORMS

from .base import Transform, check, check_probability, degree_range
from .resampling import by_bands, flip_array, resize_array

_CROP_ATTEMPTS = 10
_SAMPLE_STEP = 32


def _label_keys(results: dict) -> list[str]:
    """The arrays that go along with the image, as the loaders have listed them."""
    return results.get('seg_fields', [])


@TRANSFORMS.register_module()
class Resize(mmcv.transforms.Resize):
    """Resize the image, and with nearest neighbours all that `seg_fields` names. Arguments: as those of mmcv's.

    Sets `img_shape`, `scale`, `scale_factor` (x, y) and `keep_ratio`.
    """

    def _target_size(self, shape: tuple[int, ...], scale: tuple[int, int]) -> tuple[int, int]:
        return mmcv.rescale_size((shape[1], shape[0]), scale) if self.keep_ratio else scale

    def _resize_img(self, results: dict) -> None:
        image = results.get('img')
        if image is None:
            return
        size = self._target_size(image.shape, results['scale'])
        results['img'] = resize_array(image, size, self.interpolation, self.backend)
        results['img_shape'] = results['img'].shape[:2]
        results['scale_factor'] = size[0] / image.shape[1], size[1] / image.shape[0]
        results['keep_ratio'] = self.keep_ratio

    def _resize_seg(self, results: dict) -> None:
        for key in _label_keys(results):
            size = self._target_size(results[key].shape, results['scale'])
            results[key] = resize_array(results[key], size, 'nearest', self.backend)


@TRANSFORMS.register_module()
class ResizeShortestEdge(Transform):
    """Bring the shorter edge to a length, unless the longer one would exceed `max_size`: then bring that to `max_size`.

    Args:
        scale: length of the shorter edge; of two the smaller counts.
        max_size: most the longer edge may have.
    """

    def __init__(self, scale: int | tuple[int, int], max_size: int) -> None:
        self.scale = scale
        self.max_size = max_size
        self.resize = Resize(scale=0, keep_ratio=True)

    def _size_for(self, height: int, width: int) -> tuple[int, int]:
        shortest = self.scale if isinstance(self.scale, int) else min(self.scale)
        ratio = shortest / min(height, width)
        longest = max(height, width) * ratio
        if longest > self.max_size:
            ratio *= self.max_size / longest
        return int(width * ratio + 0.5), int(height * ratio + 0.5)

    def transform(self, results: dict) -> dict:
        self.resize.scale = self._size_for(*results['img'].shape[:2])
        return self.resize(results)


@TRANSFORMS.register_module()
class ResizeToMultiple(Transform):
    """Enlarge the image and its labels to the next multiples of `size_divisor`.

    Args:
        size_divisor: one number, or (width, height).
        interpolation: of the image; bilinear by default.
    """

    def __init__(self, size_divisor: int | tuple[int, int] = 32, interpolation: str | None = None):
        self.size_divisor = size_divisor
        self.interpolation = interpolation

    def _target_size(self, array: np.ndarray) -> tuple[int, int]:
        divisors = (self.size_divisor,) * 2 if isinstance(self.size_divisor, int) else self.size_divisor
        width, height = (-(-length // divisor) * divisor for length, divisor in zip(array.shape[1::-1], divisors))
        return width, height

    def transform(self, results: dict) -> dict:
        image = results['img']
        results['img'] = resize_array(image, self._target_size(image), self.interpolation or 'bilinear')
        results['img_shape'] = results['pad_shape'] = results['img'].shape[:2]
        for key in _label_keys(results):
            results[key] = resize_array(results[key], self._target_size(results[key]), 'nearest')
        return results


@TRANSFORMS.register_module()
class SegRescale(Transform):
    """Rescale the labels alone by `scale_factor`, with nearest neighbours."""

    def __init__(self, scale_factor: float = 1):
        self.scale_factor = scale_factor

    def transform(self, results: dict) -> dict:
        if self.scale_factor != 1:
            for key in _label_keys(results):
                size = mmcv.rescale_size(results[key].shape[1::-1], self.scale_factor)
                results[key] = resize_array(results[key], size, 'nearest')
        return results


@TRANSFORMS.register_module()
class Pad(mmcv.transforms.Pad):
    """Pad the image and its labels, whatever the number of bands. Arguments: as those of mmcv's."""

    def _pad_img(self, results: dict) -> None:
        whole = results['img']

        def pad(bands: np.ndarray) -> np.ndarray:
            results['img'] = bands
            super(Pad, self)._pad_img(results)
            return results['img']

        results['img'] = by_bands(pad, whole)
        results['pad_shape'] = results['img'].shape


def _by_frequency(label: np.ndarray) -> list[int]:
    """Return the labels that occur, the most frequent first."""
    if label.dtype == np.uint8:
        order = np.argsort(-(counts := np.bincount(label.ravel())))
        return order[:np.count_nonzero(counts)].tolist()
    classes, counts = np.unique(label, return_counts=True)
    return classes[np.argsort(-counts)].tolist()


def is_mixed(label: np.ndarray, most: float, ignore_index: int) -> bool:
    """Whether each class covers less than the share `most` (at most 1) of the pixels that are not ignored.

    Classes are counted one by one, those first that are frequent in a sample of the pixels: as soon as fewer than
    `most` remain, no other class can cover as many, and the rest need not be counted.
    """
    valid = remaining = label.size - np.count_nonzero(label == ignore_index)
    for value in _by_frequency(label[::_SAMPLE_STEP, ::_SAMPLE_STEP]):
        if value == ignore_index:
            continue
        count = np.count_nonzero(label == value)
        if count / valid >= most:
            return False
        remaining -= count
        if remaining / valid < most:
            return True
    # Classes that the sample has missed hold nearly everything: count them all.
    counts = np.unique(label[label != ignore_index], return_counts=True)[1]
    return bool(len(counts) and counts.max() / valid < most)


@TRANSFORMS.register_module()
class RandomCrop(Transform):
    """Crop a random window, the same of the image and its labels; what is smaller than the window stays as it is.

    Args:
        crop_size: (height, width), or the edge of a square.
        cat_max_ratio: draw again, up to ten times, while one class covers at least this share of the window.
        ignore_index: label that does not count as a class.
    """

    shown = ('crop_size',)

    def __init__(self, crop_size: int | tuple[int, int], cat_max_ratio: float = 1.0, ignore_index: int = 255):
        self.crop_size = (crop_size, crop_size) if isinstance(crop_size, int) else tuple(crop_size)
        check(len(self.crop_size) == 2 and min(self.crop_size) > 0, self, f'crop_size={crop_size}',
              'a height and a width of at least 1')
        self.cat_max_ratio = cat_max_ratio
        self.ignore_index = ignore_index

    def _draw_window(self, height: int, width: int) -> tuple[int, int, int, int]:
        top, left = (np.random.randint(0, max(length - crop, 0) + 1)
                     for length, crop in zip((height, width), self.crop_size))
        return top, top + self.crop_size[0], left, left + self.crop_size[1]

    @cache_randomness
    def crop_bbox(self, results: dict) -> tuple[int, int, int, int]:
        """Draw a window (top, bottom, left, right), bottom and right excluded."""
        height, width = results['img'].shape[:2]
        label = results.get('gt_seg_map')
        window = self._draw_window(height, width)
        if self.cat_max_ratio >= 1 or label is None:
            return window
        for _ in range(_CROP_ATTEMPTS):
            if is_mixed(self.crop(label, window), self.cat_max_ratio, self.ignore_index):
                break
            window = self._draw_window(height, width)
        return window

    def crop(self, img: np.ndarray, crop_bbox: tuple[int, int, int, int]) -> np.ndarray:
        """Return the part of an array (H, W, ...) in a window (top, bottom, left, right)."""
        top, bottom, left, right = crop_bbox
        return img[top:bottom, left:right]

    def transform(self, results: dict) -> dict:
        window = self.crop_bbox(results)
        for key in ('img', *_label_keys(results)):
            results[key] = self.crop(results[key], window)
        results['img_shape'] = results['img'].shape[:2]
        return results


@TRANSFORMS.register_module()
class RandomFlip(mmcv.transforms.RandomFlip):
    """Flip the image and all that `seg_fields` names. Arguments: as those of mmcv's.

    Sets `flip`, `flip_direction`, and where it flips `swap_seg_labels`.
    """

    @cache_randomness
    def _choose_direction(self) -> str | None:
        """Draw a direction, or None: what `numpy.random.choice` draws from the same number, in a tenth of its time."""
        directions = [self.direction] if isinstance(self.direction, str) else list(self.direction)
        chances = self.prob if isinstance(self.prob, list) else [self.prob / len(directions)] * len(directions)
        place = np.random.random_sample()
        limits = itertools.accumulate(chances)
        return next((direction for direction, limit in zip(directions, limits) if place < limit), None)

    def _flip(self, results: dict) -> None:
        direction = results['flip_direction']
        results['img'] = flip_array(results['img'], direction)
        for key, flip in (('gt_bboxes', self._flip_bbox), ('gt_keypoints', self._flip_keypoints)):
            if results.get(key) is not None:
                results[key] = flip(results[key], results['img'].shape[:2], direction)
        for key in _label_keys(results):
            results[key] = self._flip_seg_map(results[key], direction)
            results['swap_seg_labels'] = self.swap_seg_labels

    def _flip_seg_map(self, seg_map: np.ndarray, direction: str) -> np.ndarray:
        flipped = flip_array(seg_map, direction)
        # Places first: a label that has been swapped must not be swapped back.
        swaps = [(flipped == old, new) for pair in self.swap_seg_labels or () for old, new in (pair, pair[::-1])]
        for place, new in swaps:
            flipped[place] = new
        return flipped


def _rotate(array: np.ndarray, degree: float, interpolation: str, pad_value: float, **options) -> np.ndarray:
    return by_bands(lambda bands: mmcv.imrotate(bands, degree, border_value=pad_value, interpolation=interpolation,
                                                **options), array)


@TRANSFORMS.register_module()
class RandomRotate(Transform):
    """Rotate the image and its labels, with a probability, by a random angle.

    Args:
        prob: probability.
        degree: range of the angle, clockwise; d means from -d to d.
        pad_val: value of the image's corners; OpenCV gives a single number to the first band, zero to the others.
        seg_pad_val: label of the corners.
        center: (x, y) of the point that stays; the middle by default.
        auto_bound: make the image as large as the rotated one needs.
    """

    def __init__(self, prob: float, degree: float | tuple[float, float], pad_val: float = 0, seg_pad_val: int = 255,
                 center: tuple[float, float] | None = None, auto_bound: bool = False):
        check_probability(self, prob=prob)
        self.prob = prob
        self.degree = degree_range(self, degree)
        self.pad_val = pad_val
        self.seg_pad_val = seg_pad_val
        self.center = None if center is None else tuple(center)
        self.auto_bound = auto_bound

    @cache_randomness
    def generate_degree(self) -> tuple[bool, float]:
        """Draw whether to rotate, and the angle."""
        return np.random.rand() < self.prob, np.random.uniform(min(self.degree), max(self.degree))

    def transform(self, results: dict) -> dict:
        rotates, degree = self.generate_degree()
        if not rotates:
            return results
        place = dict(center=self.center, auto_bound=self.auto_bound)
        results['img'] = _rotate(results['img'], degree, 'bilinear', self.pad_val, **place)
        results['img_shape'] = results['img'].shape[:2]
        for key in _label_keys(results):
            results[key] = _rotate(results[key], degree, 'nearest', self.seg_pad_val, **place)
        return results


@TRANSFORMS.register_module()
class RandomRotFlip(Transform):
    """Rotate by a random angle, or else turn by quarters and flip; corners are filled with zeros, labels too.

    Args:
        rotate_prob: probability of a rotation by an angle.
        flip_prob: probability of quarter turns and a flip, where the image has not been rotated.
        degree: range of the angle; d means from -d to d.
    """

    def __init__(self, rotate_prob: float = 0.5, flip_prob: float = 0.5,
                 degree: float | tuple[float, float] = (-20, 20)):
        check_probability(self, rotate_prob=rotate_prob, flip_prob=flip_prob)
        self.rotate_prob = rotate_prob
        self.flip_prob = flip_prob
        self.degree = degree_range(self, degree)

    def random_rot_flip(self, results: dict) -> dict:
        """Turn by 0 to 3 quarters, then flip along a random axis."""
        quarters, axis = np.random.randint(0, 4), np.random.randint(0, 2)
        direction = ('vertical', 'horizontal')[axis]
        for key in ('img', *_label_keys(results)):
            results[key] = flip_array(np.rot90(results[key], quarters), direction)
        results['img_shape'] = results['img'].shape[:2]
        return results

    def random_rotate(self, results: dict) -> dict:
        """Rotate by a random angle."""
        degree = np.random.uniform(min(self.degree), max(self.degree))
        results['img'] = _rotate(results['img'], degree, 'bilinear', 0)
        for key in _label_keys(results):
            results[key] = _rotate(results[key], degree, 'nearest', 0)
        return results

    def transform(self, results: dict) -> dict:
        rotates = np.random.rand() < self.rotate_prob
        if rotates:
            results = self.random_rotate(results)
        # Drawn in either case, so that later draws do not depend on it.
        if np.random.rand() < self.flip_prob and not rotates:
            results = self.random_rot_flip(results)
        return results
