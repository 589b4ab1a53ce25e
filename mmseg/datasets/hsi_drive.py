"""HSI-Drive 2.0 (https://ipaccess.ehu.eus/HSI-Drive): street scenes in 25 bands of red and near infrared."""
from __future__ import annotations

from mmseg.datasets.basesegdataset import BaseSegDataset
from mmseg.registry import DATASETS


@DATASETS.register_module()
class HSIDrive20Dataset(BaseSegDataset):
    """Images are arrays, which `LoadImageFromNpyFile` reads. Label 0 means unlabelled: set `ignore_index=0` to leave it
    out of loss and metric."""

    METAINFO = dict(
        classes=(
            'unlabelled', 'road', 'road marks', 'vegetation', 'painted metal', 'sky', 'concrete', 'pedestrian', 'water',
            'unpainted metal', 'glass'),
        palette=[
            [0, 0, 0], [77, 77, 77], [255, 255, 255], [0, 255, 0], [255, 0, 0], [0, 0, 255], [102, 51, 0],
            [255, 255, 0], [0, 207, 250], [255, 166, 0], [0, 204, 204]])

    def __init__(self, img_suffix: str = '.npy', seg_map_suffix: str = '.png', **kwargs) -> None:
        super().__init__(img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, **kwargs)
