"""Volumes of medical images, (N, Z, Y, X) with N modalities, and their labels (Z, Y, X).

The augmentations are those of nnU-Net (https://www.nature.com/articles/s41592-020-01008-z).
"""
from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from mmcv.transforms.utils import cache_randomness

from mmseg.registry import TRANSFORMS
from mmseg.utils.imread import read_file
from mmseg.utils.io import datafrombytes

from .base import Transform, check, check_probability

_EPSILON = 1e-7


class _VolumeLoader(Transform):
    """Reads volumes as Z, Y, X; NIfTI files hold them as X, Y, Z.

    Args:
        decode_backend: `nifti` (needs nibabel), `numpy`, `pickle` or `cv2`.
        to_xyz: give the axes in the order X, Y, Z instead.
        to_float32: convert.
        backend_args: storage other than the local disk, as mmengine's `fileio` takes it.
    """

    def __init__(self, decode_backend: str = 'nifti', to_xyz: bool = False, to_float32: bool = True,
                 backend_args: dict | None = None) -> None:
        self.decode_backend = decode_backend
        self.to_xyz = to_xyz
        self.to_float32 = to_float32
        self.backend_args = backend_args

    def _read(self, path: str) -> np.ndarray:
        return datafrombytes(read_file(path, self.backend_args), self.decode_backend)

    def _order_axes(self, volume: np.ndarray) -> np.ndarray:
        """Put the last three axes into the order asked for."""
        stored_as_xyz = self.decode_backend == 'nifti'
        return np.swapaxes(volume, -1, -3) if stored_as_xyz != self.to_xyz else volume


def _set_image(results: dict, volume: np.ndarray) -> dict:
    results['img'] = volume
    results['img_shape'] = results['ori_shape'] = volume.shape[1:]
    return results


@TRANSFORMS.register_module()
class LoadBiomedicalImageFromFile(_VolumeLoader):
    """Load the volume `img_path` as `img`; one without modalities gets an axis for them."""

    def transform(self, results: dict) -> dict:
        volume = self._read(results['img_path'])
        volume = volume[None] if volume.ndim == 3 else volume
        volume = self._order_axes(volume)
        return _set_image(results, volume.astype(np.float32) if self.to_float32 else volume)


@TRANSFORMS.register_module()
class LoadBiomedicalAnnotation(_VolumeLoader):
    """Load the labels `seg_map_path` of a volume as `gt_seg_map`."""

    def transform(self, results: dict) -> dict:
        label = self._order_axes(self._read(results['seg_map_path']))
        results['gt_seg_map'] = label.astype(np.float32) if self.to_float32 else label
        return results


@TRANSFORMS.register_module()
class LoadBiomedicalData(_VolumeLoader):
    """Load a volume and its labels from one file, `img_path`, whose last channel holds the labels.

    Args:
        with_seg: give the labels too.
        decode_backend, to_xyz, backend_args: as those of :class:`LoadBiomedicalImageFromFile`.
    """

    def __init__(self, with_seg: bool = False, decode_backend: str = 'numpy', to_xyz: bool = False,
                 backend_args: dict | None = None) -> None:
        super().__init__(decode_backend, to_xyz, False, backend_args)
        self.with_seg = with_seg

    def transform(self, results: dict) -> dict:
        data = self._order_axes(self._read(results['img_path']))
        if self.with_seg:
            results['gt_seg_map'] = data[-1]
        return _set_image(results, data[:-1])


@TRANSFORMS.register_module()
class BioMedical3DRandomCrop(Transform):
    """Crop a random box.

    Args:
        crop_shape: (Z, Y, X), or the edge of a cube.
        keep_foreground: draw boxes around a voxel of a random class other than 0.
    """

    def __init__(self, crop_shape: int | tuple[int, int, int], keep_foreground: bool = True):
        self.crop_shape = (crop_shape,) * 3 if isinstance(crop_shape, int) else tuple(crop_shape)
        check(len(self.crop_shape) == 3 and min(self.crop_shape) > 0, self, f'crop_shape={crop_shape}',
              'three lengths of at least 1')
        self.keep_foreground = keep_foreground

    def random_sample_location(self, seg_map: np.ndarray) -> np.ndarray | None:
        """Draw a class other than 0 and one of its voxels (z, y, x); None where there is only background."""
        classes = np.unique(seg_map)
        classes = classes[classes != 0]
        if not len(classes):
            return None
        voxels = np.flatnonzero(seg_map == np.random.choice(classes))
        return np.array(np.unravel_index(np.random.choice(voxels), seg_map.shape))

    @cache_randomness
    def generate_margin(self, results: dict) -> tuple[int, int, int]:
        """Return how far the box may begin from the volume's corner along z, y and x."""
        label = results['gt_seg_map']
        most = [max(length - crop, 0) for length, crop in zip(label.shape, self.crop_shape)]
        voxel = self.random_sample_location(label) if self.keep_foreground else None
        if voxel is None:
            if self.keep_foreground:
                warnings.warn(f'{results.get("img_path")}: no label but 0, so the crop is drawn from the whole volume',
                              stacklevel=2)
            return tuple(most)
        return tuple(int(np.clip(place - crop // 2, 0, limit))
                     for place, crop, limit in zip(voxel, self.crop_shape, most))

    @cache_randomness
    def random_generate_crop_bbox(self, margin_z: int, margin_y: int, margin_x: int) -> tuple[int, ...]:
        """Draw a box (z1, z2, y1, y2, x1, x2)."""
        starts = [np.random.randint(0, margin + 1) for margin in (margin_z, margin_y, margin_x)]
        return tuple(bound for start, crop in zip(starts, self.crop_shape) for bound in (start, start + crop))

    def crop(self, img: np.ndarray, crop_bbox: tuple[int, ...]) -> np.ndarray:
        """Return the part of a volume (..., Z, Y, X) in a box (z1, z2, y1, y2, x1, x2)."""
        return img[(..., *(slice(*crop_bbox[axis:axis + 2]) for axis in (0, 2, 4)))]

    def transform(self, results: dict) -> dict:
        box = self.random_generate_crop_bbox(*self.generate_margin(results))
        for key in ('img', 'gt_seg_map'):
            results[key] = self.crop(results[key], box)
        results['img_shape'] = results['img'].shape[1:]
        return results


@TRANSFORMS.register_module()
class BioMedicalGaussianNoise(Transform):
    """Add Gaussian noise of a random strength.

    Args:
        prob: probability.
        mean: mean of the noise.
        std: most its standard deviation may be.
    """

    def __init__(self, prob: float = 0.1, mean: float = 0.0, std: float = 0.1) -> None:
        check_probability(self, prob=prob)
        check(std >= 0, self, f'std={std}', 'a standard deviation of at least 0')
        self.prob = prob
        self.mean = mean
        self.std = std

    def transform(self, results: dict) -> dict:
        if np.random.rand() < self.prob:
            volume = results['img']
            noise = np.random.normal(self.mean, np.random.uniform(0, self.std), volume.shape)
            results['img'] = volume + noise.astype(volume.dtype)
        return results


@TRANSFORMS.register_module()
class BioMedicalGaussianBlur(Transform):
    """Blur modalities with Gaussians of random width (needs SciPy).

    Args:
        sigma_range: range of the width in voxels.
        prob: probability that any is blurred.
        prob_per_channel: probability of each modality.
        different_sigma_per_channel: draw a width for each.
        different_sigma_per_axis: draw a width for each axis.
    """

    shown = ('prob', 'prob_per_channel', 'sigma_range', 'different_sigma_per_channel', 'different_sigma_per_axis')

    def __init__(self, sigma_range: tuple[float, float] = (0.5, 1.0), prob: float = 0.2, prob_per_channel: float = 0.5,
                 different_sigma_per_channel: bool = True, different_sigma_per_axis: bool = True) -> None:
        check_probability(self, prob=prob, prob_per_channel=prob_per_channel)
        check(len(sigma_range) == 2 and sigma_range[0] <= sigma_range[1], self, f'sigma_range={sigma_range}',
              '(smallest, largest)')
        self.sigma_range = sigma_range
        self.prob = prob
        self.prob_per_channel = prob_per_channel
        self.different_sigma_per_channel = different_sigma_per_channel
        self.different_sigma_per_axis = different_sigma_per_axis

    def _draw_sigma(self, axes: int) -> float | list[float]:
        smallest, largest = self.sigma_range
        if smallest == largest:
            return smallest
        if self.different_sigma_per_axis:
            return [np.random.uniform(smallest, largest) for _ in range(axes)]
        return np.random.uniform(smallest, largest)

    def _blur(self, volume: np.ndarray, gaussian_filter: Callable) -> np.ndarray:
        blurred, sigma = volume.copy(), None
        for channel in range(len(volume)):
            if np.random.rand() < self.prob_per_channel:
                if sigma is None or self.different_sigma_per_channel:
                    sigma = self._draw_sigma(volume.ndim - 1)
                blurred[channel] = gaussian_filter(volume[channel], sigma)
        return blurred

    def transform(self, results: dict) -> dict:
        try:
            from scipy.ndimage import gaussian_filter
        except ImportError as error:
            raise ImportError('BioMedicalGaussianBlur needs SciPy, which is not installed: '
                              'pip install scipy') from error
        if np.random.rand() < self.prob:
            results['img'] = self._blur(results['img'], gaussian_filter)
        return results


@TRANSFORMS.register_module()
class BioMedicalRandomGamma(Transform):
    """Raise the values of a volume, as fractions of their range, to a random power.

    Args:
        prob: probability.
        gamma_range: range of the power; where it begins below 1, powers below and above 1 are equally likely.
        invert_image: do it to the negative.
        per_channel: draw a power for each modality.
        retain_stats: restore mean and standard deviation.
    """

    def __init__(self, prob: float = 0.5, gamma_range: tuple[float, float] = (0.5, 2), invert_image: bool = False,
                 per_channel: bool = False, retain_stats: bool = False):
        check_probability(self, prob=prob)
        check(len(gamma_range) == 2 and 0 < gamma_range[0] <= gamma_range[1], self, f'gamma_range={gamma_range}',
              '(smallest, largest), both positive')
        self.prob = prob
        self.gamma_range = gamma_range
        self.invert_image = invert_image
        self.per_channel = per_channel
        self.retain_stats = retain_stats

    def _draw_gamma(self) -> float:
        smallest, largest = self.gamma_range
        if np.random.random() < 0.5 and smallest < 1:
            return np.random.uniform(smallest, 1)
        return np.random.uniform(max(smallest, 1), largest)

    def _adjust(self, values: np.ndarray) -> np.ndarray:
        values = -values if self.invert_image else values
        mean, std = values.mean(), values.std()
        lowest, extent = values.min(), np.ptp(values)
        adjusted = ((values - lowest) / (extent + _EPSILON)) ** self._draw_gamma() * extent + lowest
        if self.retain_stats:
            adjusted = (adjusted - adjusted.mean()) / (adjusted.std() + _EPSILON) * std + mean
        return (-adjusted if self.invert_image else adjusted).astype(values.dtype)

    def transform(self, results: dict) -> dict:
        if np.random.rand() < self.prob:
            volume = results['img']
            results['img'] = np.stack([self._adjust(part) for part in volume]) if self.per_channel \
                else self._adjust(volume)
        return results


@TRANSFORMS.register_module()
class BioMedical3DPad(Transform):
    """Pad a volume and its labels at the far ends to at least `pad_shape`.

    Args:
        pad_shape: (Z, Y, X).
        pad_val: value of the new voxels.
        seg_pad_val: their label.
    """

    def __init__(self, pad_shape: tuple[int, int, int], pad_val: float = 0.0, seg_pad_val: int = 0) -> None:
        check(pad_shape is not None and len(pad_shape) == 3, self, f'pad_shape={pad_shape}', 'three lengths')
        self.pad_shape = tuple(pad_shape)
        self.pad_val = pad_val
        self.seg_pad_val = seg_pad_val

    def _pad(self, volume: np.ndarray, value: float) -> np.ndarray:
        after = [max(target - length, 0) for target, length in zip(self.pad_shape, volume.shape[-3:])]
        before_axes = [(0, 0)] * (volume.ndim - 3)
        return np.pad(volume, before_axes + [(0, count) for count in after], constant_values=value)

    def transform(self, results: dict) -> dict:
        results['img'] = self._pad(results['img'], self.pad_val)
        results['pad_shape'] = results['img'].shape[1:]
        if results.get('gt_seg_map') is not None:
            results['gt_seg_map'] = self._pad(results['gt_seg_map'], self.seg_pad_val)
        return results


@TRANSFORMS.register_module()
class BioMedical3DRandomFlip(Transform):
    """Flip a volume and its labels, along each of some axes with a probability.

    Args:
        prob: probability of each axis.
        axes: which; 0, 1, 2 are Z, Y, X.
        swap_label_pairs: labels that change places when the volume is flipped, such as left and right.
    """

    def __init__(self, prob: float, axes: tuple[int, ...], swap_label_pairs: list[tuple[int, int]] | None = None):
        check_probability(self, prob=prob)
        check(set(axes) <= {0, 1, 2} and len(set(axes)) == len(axes), self, f'axes={axes}', 'some of 0, 1 and 2')
        self.prob = prob
        self.axes = axes
        self.swap_label_pairs = swap_label_pairs

    def _swap_labels(self, label: np.ndarray) -> np.ndarray:
        swapped = label.copy()
        for first, second in self.swap_label_pairs or ():
            swapped[label == first] = second
            swapped[label == second] = first
        return swapped

    def transform(self, results: dict) -> dict:
        if 'do_flip' not in results:
            results['do_flip'] = tuple(bool(axis in self.axes and np.random.rand() < self.prob) for axis in range(3))
        results.setdefault('flip_axes', self.axes)
        axes = [axis - 3 for axis, flips in enumerate(results['do_flip']) if flips]
        results['img'] = np.flip(results['img'], axes).copy()
        if results.get('gt_seg_map') is not None:
            label = np.flip(results['gt_seg_map'], axes)
            results['gt_seg_map'] = self._swap_labels(label) if axes else label.copy()
        return results
