"""A depth for each pixel in place of a class."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.structures import PixelData

from mmseg.models.segmentors.encoder_decoder import EncoderDecoder
from mmseg.ops.labels import restore_logits
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from mmseg.utils.typing_utils import OptSampleList, SampleList


@MODELS.register_module()
class DepthEstimator(EncoderDecoder):
    """:class:`EncoderDecoder` whose decode head gives one channel, the depth; samples get it as `pred_depth_map`.

    Besides `'whole'` and `'slide'`, `test_cfg.mode` may be `'slide_flip'`: each window is predicted a second time in
    the mirror. A backbone with `class_embed_select` is told the `category_id` of the images.
    """

    def extract_feat(self, inputs: torch.Tensor, batch_img_metas: list[dict] | None = None) -> Sequence[torch.Tensor]:
        """Take images (N, 3, H, W) to the features of backbone and neck."""
        if getattr(self.backbone, 'class_embed_select', False) and batch_img_metas and \
                all('category_id' in meta for meta in batch_img_metas):
            inputs = inputs, torch.tensor([meta['category_id'] for meta in batch_img_metas])
        return super().extract_feat(inputs)

    def _native_logits(self, inputs: torch.Tensor, batch_img_metas: list[dict]) -> torch.Tensor:
        return self._decode(self.extract_feat(inputs, batch_img_metas), batch_img_metas)

    def loss(self, inputs: torch.Tensor, data_samples: SampleList) -> dict:
        """Return the losses of the decode head (`decode.…`) and the auxiliary heads (`aux.…` or `aux_0.…`)."""
        metas = [sample.metainfo for sample in data_samples]
        return self._losses(self.extract_feat(inputs, metas), data_samples)

    def inference(self, inputs: torch.Tensor, batch_img_metas: list[dict]) -> torch.Tensor:
        """Take images (N, 3, H, W) to depths (N, 1, H, W) by the mode of `test_cfg`."""
        modes = dict(whole=self.whole_inference, slide=self.slide_inference, slide_flip=self.slide_flip_inference)
        mode = (self.test_cfg or {}).get('mode', 'whole')
        if mode not in modes:
            raise ValueError(f'test_cfg.mode must be one of {", ".join(modes)}, found {mode!r}')
        return modes[mode](inputs, batch_img_metas)

    def slide_flip_inference(self, inputs: torch.Tensor, batch_img_metas: list[dict]) -> torch.Tensor:
        """Average the depths of overlapping windows, each seen as it is and in the mirror."""
        return self._slide(inputs, batch_img_metas, self._both_ways)

    def _both_ways(self, inputs: torch.Tensor, batch_img_metas: list[dict]) -> torch.Tensor:
        mirrored = self.encode_decode(inputs.flip(-1), batch_img_metas).flip(-1)
        return (self.encode_decode(inputs, batch_img_metas) + mirrored) / 2

    def postprocess_result(self, seg_logits: torch.Tensor, data_samples: OptSampleList = None,
                           input_size: tuple[int, int] | None = None) -> list[SegDataSample]:
        """Put the depths (N, 1, h, w) into the samples, each as `pred_depth_map` (1, H, W) of the original size."""
        if data_samples is None:
            data_samples = [SegDataSample() for _ in seg_logits]
        for depth, sample in zip(seg_logits, data_samples):
            geometry = self._geometry(sample.metainfo, tuple(input_size or seg_logits.shape[2:]))
            sample.pred_depth_map = PixelData(data=restore_logits(depth, geometry))
        return list(data_samples)
