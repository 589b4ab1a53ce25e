"""STARE: vessels in 20 retinal pictures (https://doi.org/10.1109/42.845178)."""
from __future__ import annotations

from mmseg.datasets.basesegdataset import BaseSegDataset
from mmseg.datasets.chase_db1 import ChaseDB1Dataset
from mmseg.registry import DATASETS


@DATASETS.register_module()
class STAREDataset(BaseSegDataset):
    """Labels are those of the observer AH; for those of VK: `seg_map_suffix='.vk.png'`."""

    METAINFO = ChaseDB1Dataset.METAINFO

    def __init__(self, img_suffix: str = '.png', seg_map_suffix: str = '.ah.png', reduce_zero_label: bool = False,
                 **kwargs) -> None:
        super().__init__(img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, reduce_zero_label=reduce_zero_label,
                         **kwargs)
