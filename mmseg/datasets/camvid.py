"""CamVid (https://doi.org/10.1007/978-3-540-88682-2_5) as SegNet uses it: 480x360 pixels, 11 classes."""
from __future__ import annotations

from collections.abc import Sequence

from mmseg.datasets.basesegdataset import LEFT_OUT, BaseSegDataset
from mmseg.registry import DATASETS


@DATASETS.register_module()
class CamVidDataset(BaseSegDataset):
    """In the label files 11 means void: it is ignored."""

    METAINFO = dict(
        classes=(
            'Sky', 'Building', 'Pole', 'Road', 'Pavement', 'Tree', 'SignSymbol', 'Fence', 'Car', 'Pedestrian',
            'Bicyclist'),
        palette=[
            [128, 128, 128], [128, 0, 0], [192, 192, 128], [128, 64, 128], [60, 40, 222], [128, 128, 0],
            [192, 128, 128], [64, 64, 128], [64, 0, 128], [64, 64, 0], [0, 128, 192]])

    def __init__(self, img_suffix: str = '.jpg', seg_map_suffix: str = '.png', **kwargs) -> None:
        super().__init__(img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, **kwargs)

    @classmethod
    def get_label_map(cls, new_classes: Sequence[str] | None = None) -> dict[int, int]:
        classes = cls.METAINFO['classes']
        return {**(super().get_label_map(new_classes) or {label: label for label in range(len(classes))}),
                len(classes): LEFT_OUT}
