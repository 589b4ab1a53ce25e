"""Dark Zurich (https://arxiv.org/abs/1901.05946): night pictures with the classes of Cityscapes."""
from __future__ import annotations

from mmseg.datasets.cityscapes import CityscapesDataset
from mmseg.registry import DATASETS


@DATASETS.register_module()
class DarkZurichDataset(CityscapesDataset):
    """For evaluation: the training pictures have no labels."""

    def __init__(self, img_suffix: str = '_rgb_anon.png', seg_map_suffix: str = '_gt_labelTrainIds.png',
                 **kwargs) -> None:
        super().__init__(img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, **kwargs)
