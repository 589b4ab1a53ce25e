"""From arrays to the tensors and samples that the networks take."""
from __future__ import annotations

import warnings
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from mmcv.transforms import to_tensor
from mmengine.structures import PixelData

from mmseg.registry import TRANSFORMS
from mmseg.structures import SegDataSample

from .base import Transform

# PyTorch knows these types only in part: the next larger signed ones hold their values.
_WIDER = {np.dtype(np.uint16): np.int32, np.dtype(np.uint32): np.int64}


def channels_first(image: np.ndarray) -> np.ndarray:
    """Return a contiguous array with the bands first: (H, W) or (H, W, C) -> (C, H, W), (N, Z, Y, X) as it is."""
    if image.dtype in _WIDER:
        image = image.astype(_WIDER[image.dtype])
    if image.ndim == 4:
        return np.ascontiguousarray(image)
    image = np.atleast_3d(image)
    if image.transpose(2, 0, 1).flags.c_contiguous:
        return image.transpose(2, 0, 1)
    planes = np.empty((image.shape[2], *image.shape[:2]), image.dtype)
    if image.dtype == np.uint8:  # OpenCV splits four times faster than NumPy transposes
        cv2.split(image, list(planes))
    else:
        planes[...] = image.transpose(2, 0, 1)
    return planes


@TRANSFORMS.register_module()
class PackSegInputs(Transform):
    """Pack the image as `inputs`, and labels and facts about the image as `data_samples`.

    * `inputs`: (C, H, W), of the image's type: 8-bit levels stay so until the device
    * `gt_sem_seg`, `gt_edge_map`: (1, H, W) int64; `gt_depth_map`: (1, H, W)
    * metainfo: those of `meta_keys` that the earlier transforms have set
    """

    def __init__(self, meta_keys: Sequence[str] = (
            'img_path', 'seg_map_path', 'ori_shape', 'img_shape', 'pad_shape', 'scale_factor', 'flip', 'flip_direction',
            'reduce_zero_label')):
        self.meta_keys = meta_keys

    def transform(self, results: dict) -> dict:
        packed = {}
        if 'img' in results:
            packed['inputs'] = torch.from_numpy(channels_first(results['img']))
        sample = SegDataSample(metainfo={key: results[key] for key in self.meta_keys if key in results})
        if 'gt_seg_map' in results:
            sample.gt_sem_seg = PixelData(data=self._pack_labels(results['gt_seg_map']))
        if 'gt_edge_map' in results:
            edges = results['gt_edge_map'][None].astype(np.int64)
            sample.gt_edge_map = PixelData(data=torch.from_numpy(edges))
        if 'gt_depth_map' in results:
            sample.gt_depth_map = PixelData(data=to_tensor(np.ascontiguousarray(results['gt_depth_map'][None])))
        packed['data_samples'] = sample
        return packed

    @staticmethod
    def _pack_labels(label: np.ndarray) -> torch.Tensor:
        if label.ndim == 2:
            label = label[None]
        else:
            warnings.warn(f'gt_seg_map has shape {label.shape}, usually it is height x width: it is packed as it is',
                          stacklevel=3)
        return torch.from_numpy(label.astype(np.int64))
