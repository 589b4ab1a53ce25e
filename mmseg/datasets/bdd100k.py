"""BDD100K (https://arxiv.org/abs/1805.04687), with the classes of Cityscapes."""
from __future__ import annotations

from mmseg.datasets.basesegdataset import BaseSegDataset
from mmseg.datasets.cityscapes import CityscapesDataset
from mmseg.registry import DATASETS


@DATASETS.register_module()
class BDD100KDataset(BaseSegDataset):
    """Street scenes of the United States; labels as published."""

    METAINFO = CityscapesDataset.METAINFO

    def __init__(self, img_suffix: str = '.jpg', seg_map_suffix: str = '.png', reduce_zero_label: bool = False,
                 **kwargs) -> None:
        super().__init__(img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, reduce_zero_label=reduce_zero_label,
                         **kwargs)
