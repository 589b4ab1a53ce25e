"""HRF: vessels in 45 retinal pictures of high resolution (https://doi.org/10.1155/2013/154860)."""
from __future__ import annotations

from mmseg.datasets.basesegdataset import BaseSegDataset
from mmseg.datasets.chase_db1 import ChaseDB1Dataset
from mmseg.registry import DATASETS


@DATASETS.register_module()
class HRFDataset(BaseSegDataset):
    """Healthy eyes, glaucoma and diabetic retinopathy, 15 pictures each."""

    METAINFO = ChaseDB1Dataset.METAINFO

    def __init__(self, img_suffix: str = '.png', seg_map_suffix: str = '.png', reduce_zero_label: bool = False,
                 **kwargs) -> None:
        super().__init__(img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, reduce_zero_label=reduce_zero_label,
                         **kwargs)
