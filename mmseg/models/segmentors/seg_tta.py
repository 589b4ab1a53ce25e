"""Test-time augmentation: the mean probability over scaled and flipped views of an image."""
from __future__ import annotations

from collections.abc import Sequence

from mmengine.model import BaseTTAModel
from mmengine.structures import PixelData

from mmseg.ops import average_views
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample


@MODELS.register_module()
class SegTTAModel(BaseTTAModel):
    """Predicts every view that the pipeline's `TestTimeAug` made of an image and averages their probabilities."""

    def merge_preds(self, data_samples_list: list[Sequence[SegDataSample]]) -> list[SegDataSample]:
        """Merge the samples of each image's views into one, with the labels (1, H, W) of their mean probability."""
        return [self._merge(views) for views in data_samples_list]

    def _merge(self, views: Sequence[SegDataSample]) -> SegDataSample:
        labels = average_views([view.seg_logits.data for view in views], self.module.threshold)
        merged = SegDataSample(metainfo=views[0].metainfo, pred_sem_seg=PixelData(data=labels))
        if 'gt_sem_seg' in views[0]:
            merged.gt_sem_seg = views[0].gt_sem_seg
        return merged
