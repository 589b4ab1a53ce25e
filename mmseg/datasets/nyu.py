"""NYU Depth V2 (https://doi.org/10.1007/978-3-642-33715-4_54): the depth of rooms, with the kind of room."""
from __future__ import annotations

import os
from itertools import takewhile

from mmseg.datasets.basesegdataset import BaseSegDataset
from mmseg.registry import DATASETS

IMAGE_AND_DEPTH = {'img_path': 'images', 'depth_map_path': 'annotations'}


@DATASETS.register_module()
class NYUDataset(BaseSegDataset):
    """Images named `{room}_{number}…`. A sample is `dict(img_path, depth_map_path, seg_fields, category_id)`."""

    METAINFO = dict(
        classes=(
            'printer_room', 'bathroom', 'living_room', 'study', 'conference_room', 'study_room', 'kitchen',
            'home_office', 'bedroom', 'dinette', 'playroom', 'indoor_balcony', 'laundry_room', 'basement',
            'excercise_room', 'foyer', 'home_storage', 'cafe', 'furniture_store', 'office_kitchen', 'student_lounge',
            'dining_room', 'reception_room', 'computer_lab', 'classroom', 'office', 'bookstore'))

    def __init__(self, data_prefix: dict = IMAGE_AND_DEPTH, img_suffix: str = '.jpg', depth_map_suffix: str = '.png',
                 **kwargs) -> None:
        self.depth_map_suffix = depth_map_suffix
        super().__init__(data_prefix=data_prefix, img_suffix=img_suffix, **kwargs)

    def suffixes(self) -> dict[str, str]:
        return dict(img_path=self.img_suffix, depth_map_path=self.depth_map_suffix)

    def make_sample(self, paths: dict[str, str]) -> dict:
        return dict(paths, seg_fields=[], category_id=self._category_id(os.path.basename(paths['img_path'])))

    def _category_id(self, name: str) -> int:
        """Return the index of the kind of room that a file name begins with, or -1 if it is none of the classes."""
        room = ''.join(takewhile(lambda letter: not letter.isdigit(), name))[:-1]
        return self._metainfo['classes'].index(room) if room in self._metainfo['classes'] else -1
