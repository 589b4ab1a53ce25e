"""LoveDA (https://arxiv.org/abs/2110.08733): land cover of towns and country in aerial images."""
from __future__ import annotations

from mmseg.datasets.basesegdataset import BaseSegDataset
from mmseg.registry import DATASETS


@DATASETS.register_module()
class LoveDADataset(BaseSegDataset):
    """In the label files 0 means no data: it is ignored."""

    METAINFO = dict(
        classes=('background', 'building', 'road', 'water', 'barren', 'forest', 'agricultural'),
        palette=[
            [255, 255, 255], [255, 0, 0], [255, 255, 0], [0, 0, 255], [159, 129, 183], [0, 255, 0], [255, 195, 128]])

    def __init__(self, img_suffix: str = '.png', seg_map_suffix: str = '.png', reduce_zero_label: bool = True,
                 **kwargs) -> None:
        super().__init__(img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, reduce_zero_label=reduce_zero_label,
                         **kwargs)
