"""What every segmentor is to a runner: losses in training, samples with labels in prediction."""
from __future__ import annotations

from abc import ABCMeta, abstractmethod
from collections.abc import Sequence
from functools import partial

import mmcv
import numpy as np
import torch
from mmengine.model import BaseModel
from mmengine.structures import PixelData

from mmseg.ops import QueryMasks, WindowLogits
from mmseg.ops.labels import Geometry, logits_to_labels, restore_logits
from mmseg.registry import MODELS, VISUALIZERS
from mmseg.structures import SegDataSample
from mmseg.utils import checkpoint  # noqa: F401  from here on mmengine's loaders read checkpoints safely
from mmseg.utils.typing_utils import ForwardResults, OptConfigType, OptMultiConfig, OptSampleList, SampleList


class BaseSegmentor(BaseModel, metaclass=ABCMeta):
    """Base of segmentors; a subclass defines `extract_feat`, `encode_decode`, `loss`, `predict` and `_forward`."""

    def __init__(self, data_preprocessor: OptConfigType = None, init_cfg: OptMultiConfig = None):
        if isinstance(data_preprocessor, dict):  # mmengine would find ours only in the default scope `mmseg`
            data_preprocessor = MODELS.build(data_preprocessor)
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)

    def _has(self, part: str) -> bool:
        return getattr(self, part, None) is not None

    @property
    def with_neck(self) -> bool:
        return self._has('neck')

    @property
    def with_auxiliary_head(self) -> bool:
        return self._has('auxiliary_head')

    @property
    def with_decode_head(self) -> bool:
        return self._has('decode_head')

    @abstractmethod
    def extract_feat(self, inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Take images (N, 3, H, W) to the features of backbone and neck."""

    @abstractmethod
    def encode_decode(self, inputs: torch.Tensor, batch_data_samples: SampleList) -> torch.Tensor:
        """Take images (N, 3, H, W) to logits of their size."""

    def forward(self, inputs: torch.Tensor, data_samples: OptSampleList = None, mode: str = 'tensor') -> ForwardResults:
        """Call :meth:`loss`, :meth:`predict` or, for `'tensor'`, the bare network on a batch (N, 3, H, W)."""
        if mode == 'loss':
            return self.loss(inputs, data_samples)
        if mode == 'predict':
            return self.predict(inputs, data_samples)
        if mode == 'tensor':
            return self._forward(inputs, data_samples)
        raise RuntimeError(f"mode {mode!r} is not known: expected 'loss', 'predict' or 'tensor'")

    @abstractmethod
    def loss(self, inputs: torch.Tensor, data_samples: SampleList) -> dict:
        """Return the losses of all heads by name."""

    @abstractmethod
    def predict(self, inputs: torch.Tensor, data_samples: OptSampleList = None) -> list[SegDataSample]:
        """Return the samples, each with `pred_sem_seg` at its image's original size."""

    def postprocess_result(self, seg_logits: torch.Tensor | QueryMasks | WindowLogits,
                           data_samples: OptSampleList = None,
                           input_size: tuple[int, int] | None = None) -> list[SegDataSample]:
        """Put labels, and the promise of logits, into each sample.

        Args:
            seg_logits: (N, C, h, w), at the input's size or, with `input_size`, of any stride; or what makes them.
            data_samples: carry `ori_shape`, padding and flip of each image; new ones are made where None.
            input_size: height and width of the batch that the network saw.
        """
        if data_samples is None:
            data_samples = [SegDataSample() for _ in seg_logits]
        for logits, sample in zip(seg_logits, data_samples):
            geometry = self._geometry(sample.metainfo, tuple(input_size or seg_logits.shape[2:]))
            if isinstance(logits, (QueryMasks, WindowLogits)):
                labels, full_logits = logits.labels(geometry), partial(logits.restore, geometry)
            else:
                labels = logits_to_labels(logits, geometry, getattr(self, 'threshold', None))
                full_logits = partial(restore_logits, logits, geometry)
            sample.pred_sem_seg = PixelData(data=labels)
            sample.defer_logits(full_logits)
        return list(data_samples)

    def show_result(self, img: str | np.ndarray, result: SegDataSample | Sequence, palette: Sequence | None = None,
                    win_name: str = '', show: bool = False, wait_time: float = 0, out_file: str | None = None,
                    opacity: float = 0.5) -> np.ndarray:
        """Draw a prediction over its image, as models of 0.x did; returns the picture (H, W, 3) in BGR.

        Args:
            img: a path, or an array (H, W, 3) in BGR.
            result: what `inference_model` or `inference_segmentor` returned for it.
            palette: colours of the classes, by default those of the model.
        """
        if not isinstance(result, SegDataSample):
            labels = torch.as_tensor(np.asarray(result[0] if isinstance(result, (list, tuple)) else result))
            result = SegDataSample(pred_sem_seg=PixelData(data=labels[None]))
        meta = getattr(self, 'dataset_meta', None) or {}
        visualizer = VISUALIZERS.get('SegLocalVisualizer')(
            alpha=opacity, classes=meta.get('classes'), palette=palette or meta.get('palette'))
        image = np.ascontiguousarray(mmcv.imread(img)[..., ::-1])
        picture = visualizer.draw(image, result, draw_gt=False, with_labels=False)
        visualizer.publish(win_name or 'result', picture, show, wait_time, out_file)
        return picture[..., ::-1]

    def _geometry(self, meta: dict, input_size: tuple[int, int]) -> Geometry:
        padding = meta.get('img_padding_size', meta.get('padding_size', (0, 0, 0, 0)))
        ori_shape = meta.get('ori_shape')
        return Geometry(input_size, tuple(padding), meta.get('flip_direction') if meta.get('flip') else None,
                        ori_shape and tuple(ori_shape[:2]), self.align_corners)
