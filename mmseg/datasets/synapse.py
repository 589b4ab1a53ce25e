"""Synapse: eight abdominal organs in slices of CT (https://www.synapse.org/Synapse:syn3193805)."""
from __future__ import annotations

from mmseg.datasets.basesegdataset import BaseSegDataset
from mmseg.registry import DATASETS


@DATASETS.register_module()
class SynapseDataset(BaseSegDataset):
    """Slices as `tools/dataset_converters/synapse.py` cuts them out of the volumes."""

    METAINFO = dict(
        classes=(
            'background', 'aorta', 'gallbladder', 'left_kidney', 'right_kidney', 'liver', 'pancreas', 'spleen',
            'stomach'),
        palette=[
            [0, 0, 0], [0, 0, 255], [0, 255, 0], [255, 0, 0], [0, 255, 255], [255, 0, 255], [255, 255, 0],
            [60, 255, 255], [240, 240, 240]])

    def __init__(self, img_suffix: str = '.jpg', seg_map_suffix: str = '.png', **kwargs) -> None:
        super().__init__(img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, **kwargs)
