"""iSAID (https://arxiv.org/abs/1905.12886): 15 kinds of object in aerial images."""
from __future__ import annotations

from mmseg.datasets.basesegdataset import BaseSegDataset
from mmseg.registry import DATASETS


@DATASETS.register_module()
class iSAIDDataset(BaseSegDataset):
    """Patches and labels as `tools/dataset_converters/isaid.py` cuts them."""

    METAINFO = dict(
        classes=(
            'background', 'ship', 'store_tank', 'baseball_diamond', 'tennis_court', 'basketball_court',
            'Ground_Track_Field', 'Bridge', 'Large_Vehicle', 'Small_Vehicle', 'Helicopter', 'Swimming_pool',
            'Roundabout', 'Soccer_ball_field', 'plane', 'Harbor'),
        palette=[
            [0, 0, 0], [0, 0, 63], [0, 63, 63], [0, 63, 0], [0, 63, 127], [0, 63, 191], [0, 63, 255], [0, 127, 63],
            [0, 127, 127], [0, 0, 127], [0, 0, 191], [0, 0, 255], [0, 191, 127], [0, 127, 191], [0, 127, 255],
            [0, 100, 155]])

    def __init__(self, img_suffix: str = '.png', seg_map_suffix: str = '_instance_color_RGB.png',
                 ignore_index: int = 255, **kwargs) -> None:
        super().__init__(img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, ignore_index=ignore_index, **kwargs)
