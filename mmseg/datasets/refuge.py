"""REFUGE: optic disc and cup in retinal pictures (https://arxiv.org/abs/1910.03667)."""
from __future__ import annotations

from mmseg.datasets.basesegdataset import BaseSegDataset
from mmseg.registry import DATASETS


@DATASETS.register_module()
class REFUGEDataset(BaseSegDataset):
    """Labels as `tools/dataset_converters/refuge.py` writes them."""

    METAINFO = dict(
        classes=('background', ' Optic Cup', 'Optic Disc'),
        palette=[[120, 120, 120], [6, 230, 230], [56, 59, 120]])

    def __init__(self, img_suffix: str = '.png', **kwargs) -> None:
        super().__init__(img_suffix=img_suffix, **kwargs)
