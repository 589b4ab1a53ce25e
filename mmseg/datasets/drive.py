"""DRIVE: vessels in 40 retinal pictures (https://doi.org/10.1109/TMI.2004.825627)."""
from __future__ import annotations

from mmseg.datasets.basesegdataset import BaseSegDataset
from mmseg.datasets.chase_db1 import ChaseDB1Dataset
from mmseg.registry import DATASETS


@DATASETS.register_module()
class DRIVEDataset(BaseSegDataset):
    """Labels are those of the first observer."""

    METAINFO = ChaseDB1Dataset.METAINFO

    def __init__(self, img_suffix: str = '.png', seg_map_suffix: str = '_manual1.png', reduce_zero_label: bool = False,
                 **kwargs) -> None:
        super().__init__(img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, reduce_zero_label=reduce_zero_label,
                         **kwargs)
