"""Pictures of the earth: many bands, any type, two dates."""
from __future__ import annotations

import io
from collections.abc import Sequence
from importlib.util import find_spec

import numpy as np

from mmseg.registry import TRANSFORMS
from mmseg.utils.errors import InputError
from mmseg.utils.imread import decode_image, file_kind, read_file

from .base import Transform, check
from .loading import LoadImageFromFile


def read_bands(path: str) -> np.ndarray:
    """Read a picture as it is stored, bands last: with GDAL, else rasterio, else OpenCV and tifffile."""
    try:
        from osgeo import gdal
    except ImportError:
        gdal = None
    if gdal is not None:
        gdal.UseExceptions()
        return _bands_last(gdal.Open(path).ReadAsArray())
    try:
        import rasterio
    except ImportError:
        return np.atleast_3d(_read_without_geography(path))
    with rasterio.open(path) as file:
        return _bands_last(file.read())


def _bands_last(bands: np.ndarray) -> np.ndarray:
    return np.atleast_3d(bands) if bands.ndim == 2 else np.ascontiguousarray(np.moveaxis(bands, 0, -1))


def _read_without_geography(path: str) -> np.ndarray:
    content = read_file(path)
    if file_kind(content) == 'TIFF' and find_spec('tifffile'):
        return decode_image(content, path, 'unchanged', 'tifffile')
    image = decode_image(content, path, 'unchanged')
    colours = image.ndim == 3 and image.shape[2] in (3, 4)  # which OpenCV gives blue first
    return image[..., [2, 1, 0, 3][:image.shape[2]]] if colours else image


@TRANSFORMS.register_module()
class LoadSingleRSImageFromFile(Transform):
    """Load `img_path` with all its bands, in their order, as (H, W, C); `to_float32` converts."""

    def __init__(self, to_float32: bool = True):
        self.to_float32 = to_float32

    def transform(self, results: dict) -> dict:
        image = read_bands(results['img_path'])
        results['img'] = image.astype(np.float32) if self.to_float32 else image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results


@TRANSFORMS.register_module()
class LoadMultipleRSImageFromFile(LoadSingleRSImageFromFile):
    """Load two pictures of one place, `img_path` and `img_path2`, as `img` and `img2`; `to_float32` converts."""

    def __init__(self, to_float32: bool = True):
        super().__init__(to_float32)

    def transform(self, results: dict) -> dict:
        results = super().transform(results)
        second = read_bands(results['img_path2'])
        check(second.shape == results['img'].shape, self,
              f'{results["img_path"]} of shape {results["img"].shape} beside {results["img_path2"]} of {second.shape}',
              'two pictures of equal size and bands')
        results['img2'] = second.astype(np.float32) if self.to_float32 else second
        return results


@TRANSFORMS.register_module()
class LoadImageFromNpyFile(LoadImageFromFile):
    """Load an array that NumPy saved (`.npy`), (H, W) or (H, W, C), as `img`. Colour and reader do not count here."""

    def transform(self, results: dict) -> dict | None:
        path = results['img_path']
        try:
            content = read_file(path, self.backend_args, self.file_client_args)
            image = np.load(io.BytesIO(content), allow_pickle=False)
            if image.ndim not in (2, 3):
                raise ValueError(f'an array of shape {image.shape}')
        except (OSError, ValueError, EOFError) as error:
            if self.ignore_empty:
                return None
            if isinstance(error, FileNotFoundError):
                raise
            raise InputError(f'{path}: found {error}, expected an array of height x width x bands in .npy') from error
        return self._put(results, image)


@TRANSFORMS.register_module()
class ConcatCDInput(Transform):
    """Stack the bands of several images into `img`; `input_keys` names them, and they are taken away."""

    def __init__(self, input_keys: Sequence[str] = ('img', 'img2')):
        self.input_keys = input_keys

    def transform(self, results: dict) -> dict:
        results['img'] = np.concatenate([np.atleast_3d(results.pop(key)) for key in self.input_keys], axis=2)
        return results
