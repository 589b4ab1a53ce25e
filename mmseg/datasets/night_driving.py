"""Nighttime Driving (https://arxiv.org/abs/1810.02575): 50 night pictures with the classes of Cityscapes."""
from __future__ import annotations

from mmseg.datasets.cityscapes import CityscapesDataset
from mmseg.registry import DATASETS


@DATASETS.register_module()
class NightDrivingDataset(CityscapesDataset):
    """For evaluation: the training pictures have no labels."""

    def __init__(self, img_suffix: str = '_leftImg8bit.png', seg_map_suffix: str = '_gtCoarse_labelTrainIds.png',
                 **kwargs) -> None:
        super().__init__(img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, **kwargs)
