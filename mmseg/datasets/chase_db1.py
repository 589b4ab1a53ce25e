"""CHASE_DB1: vessels in 28 retinal pictures (https://doi.org/10.1109/TBME.2012.2205687)."""
from __future__ import annotations

from mmseg.datasets.basesegdataset import BaseSegDataset
from mmseg.registry import DATASETS


@DATASETS.register_module()
class ChaseDB1Dataset(BaseSegDataset):
    """Labels are those of the first observer."""

    METAINFO = dict(
        classes=('background', 'vessel'),
        palette=[[120, 120, 120], [6, 230, 230]])

    def __init__(self, img_suffix: str = '.png', seg_map_suffix: str = '_1stHO.png', reduce_zero_label: bool = False,
                 **kwargs) -> None:
        super().__init__(img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, reduce_zero_label=reduce_zero_label,
                         **kwargs)
