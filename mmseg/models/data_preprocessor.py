"""From a list of images of the pipeline to a normalised batch on the device."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import BaseDataPreprocessor

from mmseg.registry import MODELS
from mmseg.utils import stack_batch


@MODELS.register_module()
class SegDataPreProcessor(BaseDataPreprocessor):
    """Move images to the device while they are still bytes, then reorder bands, normalise, pad and stack them there.

    Args:
        mean, std: of each band, in the order after band conversion; both or neither.
        size: height and width that training images are padded to.
        size_divisor: or a number that both must be multiples of.
        pad_val: value of padded pixels, after normalisation.
        seg_pad_val: value of padded labels.
        bgr_to_rgb, rgb_to_bgr: turn the three bands around.
        batch_augments: configs of modules called as `(inputs, data_samples) -> (inputs, data_samples)` in training.
        test_cfg: `size` or `size_divisor` for prediction; without it images keep their size.
    """

    def __init__(self,
                 mean: Sequence[float] | None = None,
                 std: Sequence[float] | None = None,
                 size: tuple[int, int] | None = None,
                 size_divisor: int | None = None,
                 pad_val: float = 0,
                 seg_pad_val: float = 255,
                 bgr_to_rgb: bool = False,
                 rgb_to_bgr: bool = False,
                 batch_augments: list[dict] | None = None,
                 test_cfg: dict | None = None):
        super().__init__()
        if bgr_to_rgb and rgb_to_bgr:
            raise ValueError('bgr_to_rgb and rgb_to_bgr turn the bands around twice: set one of them')
        if (mean is None) != (std is None) or (mean is not None and len(mean) != len(std)):
            raise ValueError(f'mean and std need one number for each band: found mean={mean}, std={std}')
        self.size, self.size_divisor, self.test_cfg = size, size_divisor, test_cfg
        self.pad_val, self.seg_pad_val = pad_val, seg_pad_val
        self.channel_conversion = bgr_to_rgb or rgb_to_bgr
        self._enable_normalize = mean is not None
        if self._enable_normalize:
            self.register_buffer('mean', torch.tensor(mean, dtype=torch.float32).view(-1, 1, 1), False)
            self.register_buffer('std', torch.tensor(std, dtype=torch.float32).view(-1, 1, 1), False)
        self.batch_augments = batch_augments and torch.nn.ModuleList(MODELS.build(cfg) for cfg in batch_augments)

    def forward(self, data: dict, training: bool = False) -> dict[str, Any]:
        """Turn `{'inputs': [(C, h, w), …], 'data_samples': […]}` into the same with `inputs` (N, C, H, W), float32."""
        data = self.cast_data(data)
        samples = data.get('data_samples')
        inputs = [self._normalise(image) for image in self._same_size_as_one(data['inputs'])]
        if training:
            inputs, samples = self._pad_for_training(inputs, samples)
        else:
            inputs, samples = self._pad_for_prediction(inputs, samples)
        return dict(inputs=inputs, data_samples=samples)

    @staticmethod
    def _same_size_as_one(images: Sequence[torch.Tensor] | torch.Tensor) -> list[torch.Tensor]:
        """Group what can be handled in one pass: [(N, C, H, W)] where all sizes agree, else the images one by one."""
        if isinstance(images, torch.Tensor):
            return [images]
        if len({(image.shape, image.dtype) for image in images}) == 1:
            return [torch.stack(list(images))]
        return [image[None] for image in images]

    def _normalise(self, images: torch.Tensor) -> torch.Tensor:
        if self.channel_conversion and images.shape[1] == 3:
            images = images.flip(1)
        images = images.float()
        if not self._enable_normalize:
            return images
        bands = len(self.mean)
        if bands not in (1, images.shape[1]):
            raise ValueError(f'images have {images.shape[1]} bands but mean and std of the data_preprocessor have '
                             f'{bands} numbers: give one for each band')
        return (images - self.mean).div_(self.std)

    def _pad_for_training(self, inputs: list[torch.Tensor], samples: Sequence | None) -> tuple:
        if samples is None:
            raise ValueError('training needs data_samples with labels: end the pipeline with PackSegInputs')
        if self.size is None and self.size_divisor is None:
            inputs = self._stack(inputs)
        else:
            inputs, samples = stack_batch([image for group in inputs for image in group], samples, self.size,
                                          self.size_divisor, self.pad_val, self.seg_pad_val)
        for augment in self.batch_augments or ():
            inputs, samples = augment(inputs, samples)
        return inputs, samples

    def _pad_for_prediction(self, inputs: list[torch.Tensor], samples: Sequence | None) -> tuple:
        if not self.test_cfg:
            return self._stack(inputs), samples
        batch, notes = stack_batch([image for group in inputs for image in group], None, self.test_cfg.get('size'),
                                   self.test_cfg.get('size_divisor'), self.pad_val, self.seg_pad_val)
        for sample, note in zip(samples or (), notes):
            sample.set_metainfo(note)
        return batch, samples

    @staticmethod
    def _stack(inputs: list[torch.Tensor]) -> torch.Tensor:
        if len(inputs) > 1:
            sizes = sorted({tuple(group.shape[-2:]) for group in inputs})
            raise ValueError(f'images of a batch have sizes {sizes}: use a batch size of 1, crop them to one size, or '
                             'set `size` or `size_divisor` of the data_preprocessor (in `test_cfg` for prediction)')
        return inputs[0]
