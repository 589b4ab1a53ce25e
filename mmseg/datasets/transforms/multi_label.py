"""Labels of pixels that may have several classes, or none: one band for each class."""
from __future__ import annotations

import numpy as np
import torch

from mmseg.registry import TRANSFORMS
from mmseg.utils.errors import InputError
from mmseg.utils.imread import decode_image, read_file
from mmseg.utils.io import datafrombytes

from .formatting import PackSegInputs, channels_first
from .loading import LoadAnnotations, list_label


@TRANSFORMS.register_module()
class LoadMultiLabelAnnotations(LoadAnnotations):
    """Load the bands of `seg_map_path` as `gt_seg_map`, (H, W, C): 1 where a pixel has the class, 255 ignored.

    A file is an array saved by NumPy, of as many bands as there are classes, or an image, whose bands are in the order
    red, green, blue.

    Args:
        present: value of a pixel that has the class; 255 for masks that are painted white, where nothing is ignored.
        imdecode_backend: reader of images; `cv2` or, for TIFF of any number of bands, `tifffile`.
        backend_args: storage other than the local disk, as mmengine's `fileio` takes it.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: the file holds no bands, or is not of its image's size.
    """

    def __init__(self, present: int = 1, imdecode_backend: str = 'cv2', backend_args: dict | None = None) -> None:
        super().__init__(imdecode_backend=imdecode_backend, backend_args=backend_args)
        self.present = present

    def _load_seg_map(self, results: dict) -> None:
        path = results['seg_map_path']
        content = read_file(path, self.backend_args)
        if str(path).endswith('.npy'):
            bands = datafrombytes(content, 'numpy')
        else:
            bands = np.atleast_3d(decode_image(content, path, 'unchanged', self.imdecode_backend))
            if bands.shape[2] in (3, 4) and self.imdecode_backend == 'cv2':
                bands = bands[..., [2, 1, 0, 3][:bands.shape[2]]]
        shape = results.get('ori_shape', bands.shape[:2])
        if bands.ndim != 3 or tuple(shape) != bands.shape[:2]:
            raise InputError(f'{path}: found labels of shape {bands.shape} for an image of {shape[0]} x {shape[1]} '
                             'pixels (height x width), expected (height, width, classes)')
        labels = (bands == self.present).astype(np.uint8)
        labels[(bands == 255) & (labels == 0)] = 255
        list_label(results, 'gt_seg_map', labels)


@TRANSFORMS.register_module()
class PackMultiLabelInputs(PackSegInputs):
    """:class:`PackSegInputs` for labels (H, W, C), which become `gt_sem_seg`, (C, H, W)."""

    @staticmethod
    def _pack_labels(label: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(channels_first(label).astype(np.int64))
