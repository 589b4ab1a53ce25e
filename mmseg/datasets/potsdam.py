"""ISPRS Potsdam: aerial images (https://www.isprs.org/education/benchmarks/UrbanSemLab)."""
from __future__ import annotations

from mmseg.datasets.basesegdataset import BaseSegDataset
from mmseg.datasets.isprs import ISPRSDataset
from mmseg.registry import DATASETS


@DATASETS.register_module()
class PotsdamDataset(BaseSegDataset):
    """Patches as `tools/dataset_converters/potsdam.py` cuts them; label 0 is ignored."""

    METAINFO = ISPRSDataset.METAINFO

    def __init__(self, img_suffix: str = '.png', seg_map_suffix: str = '.png', reduce_zero_label: bool = True,
                 **kwargs) -> None:
        super().__init__(img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, reduce_zero_label=reduce_zero_label,
                         **kwargs)
