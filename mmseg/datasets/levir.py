"""LEVIR-CD: buildings that changed between two aerial images (https://doi.org/10.3390/rs12101662)."""
from __future__ import annotations

from mmseg.datasets.basesegdataset import BaseCDDataset
from mmseg.registry import DATASETS


@DATASETS.register_module()
class LEVIRCDDataset(BaseCDDataset):
    """Labels are 0 and 1, as `tools/dataset_converters/levircd.py` writes them."""

    METAINFO = dict(
        classes=('background', 'changed'),
        palette=[[0, 0, 0], [255, 255, 255]])

    def __init__(self, img_suffix: str = '.png', img_suffix2: str = '.png', seg_map_suffix: str = '.png',
                 reduce_zero_label: bool = False, **kwargs) -> None:
        super().__init__(img_suffix=img_suffix, img_suffix2=img_suffix2, seg_map_suffix=seg_map_suffix,
                         reduce_zero_label=reduce_zero_label, **kwargs)
