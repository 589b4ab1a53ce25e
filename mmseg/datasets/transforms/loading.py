"""Load images, labels and depth maps; `biomedical` and `remote_sensing` hold the loaders of their formats."""
from __future__ import annotations

import os

import cv2
import mmcv.transforms
import numpy as np

# 1.x has all loaders in this module; the package knows where the others live.
from mmseg.datasets.transforms import __getattr__  # noqa: F401
from mmseg.registry import TRANSFORMS
from mmseg.utils.errors import InputError
from mmseg.utils.imread import decode_image, decode_labels, read_file
from mmseg.utils.io import datafrombytes

from .base import Transform


def list_label(results: dict, key: str, array: np.ndarray) -> None:
    """Put labels into the results and into the list of what goes along with the image."""
    results[key] = array
    fields = results.setdefault('seg_fields', [])
    if key not in fields:
        fields.append(key)


@TRANSFORMS.register_module()
class LoadImageFromFile(mmcv.transforms.LoadImageFromFile):
    """Load the image `img_path` as `img`; sets `img_shape` and `ori_shape`. Arguments: as those of mmcv's.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: it is empty, truncated, damaged or no image.
    """

    def transform(self, results: dict) -> dict | None:
        path = results['img_path']
        try:
            content = read_file(path, self.backend_args, self.file_client_args)
            image = decode_image(content, path, self.color_type, self.imdecode_backend)
        except (OSError, InputError):
            if self.ignore_empty:
                return None
            raise
        return self._put(results, image)

    def _put(self, results: dict, image: np.ndarray) -> dict:
        results['img'] = image.astype(np.float32) if self.to_float32 else image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results


@TRANSFORMS.register_module()
class LoadImageFromNDArray(LoadImageFromFile):
    """Take the array `img` as if it had been loaded; `img_path` becomes None. Arguments: only `to_float32` counts."""

    def transform(self, results: dict) -> dict:
        results['img_path'] = None
        return self._put(results, results['img'])


@TRANSFORMS.register_module()
class InferencerLoader(Transform):
    """Load what a user hands to an inferencer: a path, an array, or results with `img_path` or `img`.

    Args:
        kwargs: options of :class:`LoadImageFromFile`.
    """

    shown = ('from_file', 'from_ndarray')

    def __init__(self, **kwargs) -> None:
        super().__init__()
        self.from_file = LoadImageFromFile(**kwargs)
        self.from_ndarray = LoadImageFromNDArray(**kwargs)

    def transform(self, single_input: str | os.PathLike | np.ndarray | dict) -> dict:
        if isinstance(single_input, (str, os.PathLike)):
            results = dict(img_path=os.fspath(single_input))
        elif isinstance(single_input, np.ndarray):
            results = dict(img=single_input)
        elif isinstance(single_input, dict):
            results = single_input
        else:
            raise InputError(f'an image was given as {type(single_input).__name__}, expected a path, a NumPy array '
                             '(H, W, C) in BGR, or a dict with img_path or img')
        return self.from_ndarray(results) if 'img' in results else self.from_file(results)


def renumber(label: np.ndarray, reduce_zero_label: bool, label_map: dict[int, int] | None,
             ignore_index: int = 255) -> np.ndarray:
    """Give labels the ids of the classes that are trained.

    Args:
        label: unsigned or positive integers.
        reduce_zero_label: 0 becomes ignored, and the others move down by one.
        label_map: what each class, counted after that, becomes; others stay.
        ignore_index: label that stays as it is.
    """
    if not reduce_zero_label and not label_map:
        return label
    highest = int(np.iinfo(label.dtype).max if label.dtype in (np.uint8, np.uint16) else label.max())
    table = np.arange(highest + 1)
    if reduce_zero_label:
        table[1:] -= 1
        table[[0, min(ignore_index, highest)]] = ignore_index
    if label_map:
        classes = np.arange(max(highest, ignore_index) + 1)
        for old, new in label_map.items():
            classes[old:old + 1] = new if new >= 0 else ignore_index
        table = classes[table]
    table = table.astype(np.promote_types(label.dtype, np.min_scalar_type(table.max())))
    return cv2.LUT(label, table) if label.dtype == table.dtype == np.uint8 else table[label]


@TRANSFORMS.register_module()
class LoadAnnotations(mmcv.transforms.LoadAnnotations):
    """Load the labels `seg_map_path` as `gt_seg_map`, (H, W), and list them in `seg_fields`.

    They keep the type of the file, so 16-bit labels with more than 255 classes stay exact. `label_map`,
    `reduce_zero_label` and, if there, `ignore_index` of the results tell how to number them; `label_colors` are those
    of labels that are painted in colours.

    Args:
        reduce_zero_label: label 0 means ignored, and the others move down by one; by default as the data set says.
        backend_args: storage other than the local disk, as mmengine's `fileio` takes it.
        imdecode_backend: reader; `pillow`, `cv2` or `tifffile`.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: the file is no label map, or not of its image's size.
    """

    def __init__(self, reduce_zero_label: bool | None = None, backend_args: dict | None = None,
                 imdecode_backend: str = 'pillow') -> None:
        super().__init__(with_bbox=False, with_label=False, with_seg=True, with_keypoints=False,
                         imdecode_backend=imdecode_backend, backend_args=backend_args)
        self.reduce_zero_label = reduce_zero_label

    def _reduces_zero_label(self, results: dict) -> bool:
        of_data_set = results.get('reduce_zero_label', self.reduce_zero_label)
        if self.reduce_zero_label is not None and self.reduce_zero_label != of_data_set:
            raise InputError(f'LoadAnnotations: found reduce_zero_label={self.reduce_zero_label} here and '
                             f'{of_data_set} in the data set, expected the same: set it in the data set alone')
        return bool(of_data_set)

    def _load_seg_map(self, results: dict) -> None:
        path = results['seg_map_path']
        content = read_file(path, self.backend_args)
        label = decode_labels(content, path, self.imdecode_backend, results.get('label_colors'))
        shape = results.get('ori_shape')
        if shape is not None and tuple(shape) != label.shape:
            raise InputError(f'{path}: found labels of {label.shape[0]} x {label.shape[1]} pixels for '
                             f'{results.get("img_path")} of {shape[0]} x {shape[1]} (height x width), expected equal '
                             'sizes: make the labels anew, or correct the suffixes if they belong to other images')
        list_label(results, 'gt_seg_map', renumber(label, self._reduces_zero_label(results), results.get('label_map'),
                                                    results.get('ignore_index', 255)))

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(reduce_zero_label={self.reduce_zero_label}, '
                f"imdecode_backend='{self.imdecode_backend}', backend_args={self.backend_args})")


@TRANSFORMS.register_module()
class LoadDepthAnnotation(Transform):
    """Load the depth map `depth_map_path` as `gt_depth_map`, (H, W), and list it in `seg_fields`.

    Args:
        decode_backend: `cv2`, `numpy`, `nifti` or `pickle`.
        to_float32: convert.
        depth_rescale_factor: factor that gives the unit wanted, such as 0.001 for metres from millimetres.
        backend_args: storage other than the local disk, as mmengine's `fileio` takes it.
    """

    def __init__(self, decode_backend: str = 'cv2', to_float32: bool = True, depth_rescale_factor: float = 1.0,
                 backend_args: dict | None = None) -> None:
        self.decode_backend = decode_backend
        self.to_float32 = to_float32
        self.depth_rescale_factor = depth_rescale_factor
        self.backend_args = backend_args

    def transform(self, results: dict) -> dict:
        path = results['depth_map_path']
        content = read_file(path, self.backend_args)
        if self.decode_backend == 'cv2':
            depth = decode_image(content, path, 'unchanged')
        else:
            depth = datafrombytes(content, self.decode_backend)
        depth = depth.astype(np.float32) if self.to_float32 else depth
        list_label(results, 'gt_depth_map', depth * self.depth_rescale_factor)
        return results
