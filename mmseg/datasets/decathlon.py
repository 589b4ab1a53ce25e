"""Medical Segmentation Decathlon (https://arxiv.org/abs/2106.05735): ten tasks, each described by a JSON file."""
from __future__ import annotations

import os

from mmengine.fileio import load

from mmseg.datasets.basesegdataset import BaseSegDataset
from mmseg.registry import DATASETS
from mmseg.utils.errors import InputError


@DATASETS.register_module()
class DecathlonDataset(BaseSegDataset):
    """Volumes that `ann_file` (`dataset.json` of a task) lists, under `training` or, with `test_mode`, under `test`.

    The classes are the `labels` of that file, unless `metainfo` names them; the file's other entries join the metainfo.
    """

    def load_data_list(self) -> list[dict]:
        try:
            task = load(self.ann_file, backend_args=self.backend_args)
        except FileNotFoundError:
            raise FileNotFoundError(f'ann_file {self.ann_file!r} does not exist; '
                                    f'{self._what_is_near(self.ann_file)}') from None
        part = 'test' if self.test_mode else 'training'
        if not isinstance(task, dict) or part not in task:
            found = ', '.join(task) if isinstance(task, dict) else type(task).__name__
            raise InputError(f'ann_file {self.ann_file!r} holds {found}: expected a JSON object with the list {part!r}')
        for key, value in task.items():
            if key not in ('training', 'test'):
                self._metainfo.setdefault(key, value)
        self._metainfo.setdefault('classes', list(task.get('labels', {}).values()))
        self._settle_classes()
        return [self.make_sample(self._paths(entry)) for entry in task[part]]

    def _paths(self, entry: dict | str) -> dict[str, str]:
        """Return where the files of an entry are: `{'image': …, 'label': …}`, or the image alone in a test."""
        files = entry if isinstance(entry, dict) else dict(image=entry)
        keys = dict(image='img_path', label='seg_map_path')
        return {keys[kind]: os.path.join(self.data_root or '', path.removeprefix('./')) for kind, path in files.items()}
