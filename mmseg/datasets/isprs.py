"""ISPRS Vaihingen: aerial images, infrared, red and green (https://www.isprs.org/education/benchmarks/UrbanSemLab)."""
from __future__ import annotations

from mmseg.datasets.basesegdataset import BaseSegDataset
from mmseg.registry import DATASETS


@DATASETS.register_module()
class ISPRSDataset(BaseSegDataset):
    """Patches as `tools/dataset_converters/vaihingen.py` cuts them; label 0 is ignored."""

    METAINFO = dict(
        classes=('impervious_surface', 'building', 'low_vegetation', 'tree', 'car', 'clutter'),
        palette=[[255, 255, 255], [0, 0, 255], [0, 255, 255], [0, 255, 0], [255, 255, 0], [255, 0, 0]])

    def __init__(self, img_suffix: str = '.png', seg_map_suffix: str = '.png', reduce_zero_label: bool = True,
                 **kwargs) -> None:
        super().__init__(img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, reduce_zero_label=reduce_zero_label,
                         **kwargs)
