"""One image on its way through the toolbox: its geometry (`metainfo`), labels, predictions and logits."""
from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from mmengine.structures import BaseDataElement, PixelData


def _pixel_field(name: str) -> property:
    """A field that takes :class:`PixelData` only, kept under the name with an underscore as mmengine expects."""
    kept = f'_{name}'
    return property(lambda self: getattr(self, kept), lambda self, value: self.set_field(value, kept, dtype=PixelData),
                    lambda self: delattr(self, kept))


class SegDataSample(BaseDataElement):
    """What is known about one image. Fields are set and read as attributes, and missing until they are set.

    * `gt_sem_seg`, `pred_sem_seg`: labels, (1, H, W) integers
    * `seg_logits`: logits, (C, H, W)
    * any further field of the user's own (`gt_edge_map`, `gt_depth_map`, `pred_depth_map`, …)

    Logits at image size weigh hundreds of times more than labels, so prediction only promises them
    (:meth:`defer_logits`): they are computed when `seg_logits` is first read, and never if nobody reads them.

    >>> sample = SegDataSample(metainfo=dict(img_shape=(4, 4)), gt_sem_seg=PixelData(data=torch.zeros(1, 4, 4)))
    >>> sample.gt_sem_seg.shape
    (4, 4)
    """

    gt_sem_seg = _pixel_field('gt_sem_seg')
    pred_sem_seg = _pixel_field('pred_sem_seg')
    seg_logits = _pixel_field('seg_logits')

    @seg_logits.getter
    def seg_logits(self) -> PixelData:
        make_logits = self.__dict__.pop('_make_logits', None)
        if make_logits is not None:
            self.seg_logits = PixelData(data=self._beside_prediction(make_logits()))
        return self._seg_logits

    def defer_logits(self, make_logits: Callable[[], torch.Tensor]) -> None:
        """Promise the logits: `make_logits()` -> (C, H, W) runs when `seg_logits` is first read."""
        object.__setattr__(self, '_make_logits', make_logits)

    def _beside_prediction(self, logits: torch.Tensor) -> torch.Tensor | np.ndarray:
        """Move promised logits to where the labels have been moved since (a device, or NumPy)."""
        labels = self.pred_sem_seg.data if 'pred_sem_seg' in self else logits
        return logits.to(labels.device) if isinstance(labels, torch.Tensor) else logits.cpu().numpy()

    def new(self, *, metainfo: dict | None = None, **kwargs) -> SegDataSample:
        return self._pass_promise(super().new(metainfo=metainfo, **kwargs))

    def clone(self) -> SegDataSample:
        return self._pass_promise(super().clone())

    def _pass_promise(self, other: SegDataSample) -> SegDataSample:
        if '_make_logits' in self.__dict__:
            other.defer_logits(self._make_logits)
        return other
