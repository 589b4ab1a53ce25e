"""Data sets described in DSDL, the data set description language of OpenDataLab (https://opendatalab.github.io/dsdl-docs)."""
from __future__ import annotations

import os
from collections.abc import Sequence

from mmseg.datasets.basesegdataset import BaseSegDataset, map_classes
from mmseg.registry import DATASETS


@DATASETS.register_module()
class DSDLSegDataset(BaseSegDataset):
    """Images and label maps that a DSDL file (`ann_file`) lists.

    The classes are 'background' and those of the file's class domain, or `used_labels`.

    Args:
        specific_key_path: paths of fields in the file, for the `dsdl` package.
        pre_transform: transforms of fields, for the `dsdl` package.
        used_labels: the classes to keep, in this order; the others are ignored.
    """

    def __init__(self, specific_key_path: dict | None = None, pre_transform: dict | None = None,
                 used_labels: Sequence[str] | None = None, **kwargs) -> None:
        try:
            from dsdl.dataset import DSDLDataset
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError('DSDLSegDataset needs the package dsdl, which is not installed: '
                                      'pip install dsdl') from error
        self.dsdldataset = DSDLDataset(
            dsdl_yaml=os.path.join(kwargs.get('data_root') or '', kwargs['ann_file']),
            location_config=dict(type='LocalFileReader', working_dir=''),
            required_fields=['Image', 'LabelMap'],
            specific_key_path=specific_key_path or {},
            transform=pre_transform or {})
        self.used_labels = used_labels
        classes = tuple(used_labels or self._own_classes())
        super().__init__(**{**kwargs, 'metainfo': dict(kwargs.get('metainfo') or {}, classes=classes)})

    def _own_classes(self) -> list[str]:
        return ['background', *self.dsdldataset.class_names]

    def get_label_map(self, new_classes: Sequence[str] | None = None) -> dict[int, int] | None:
        return map_classes(self._own_classes(), new_classes, 'the DSDL file')

    def load_data_list(self) -> list[dict]:
        return [self.make_sample({key: os.path.join(self.data_prefix[key], sample[field][0].location)
                                  for key, field in (('img_path', 'Image'), ('seg_map_path', 'LabelMap'))})
                for sample in self.dsdldataset]
