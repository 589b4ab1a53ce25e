"""Images and their labels, found by folders, suffixes and split files."""
from __future__ import annotations

import difflib
import logging
import os
import pickle
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.fileio import LocalBackend, get_file_backend, join_path, list_dir_or_file, list_from_file
from mmengine.logging import print_log
from mmengine.utils import is_abs

from mmseg.datasets.transforms.compose import Compose
from mmseg.registry import DATASETS
from mmseg.utils.errors import InputError
from mmseg.utils.io import list_files, missing_files, nearest_folder

IMAGE_AND_LABEL = {'img_path': '', 'seg_map_path': ''}
TWO_IMAGES_AND_LABEL = {'img_path': '', 'img_path2': '', 'seg_map_path': ''}
# What a label map turns the classes into that are left out; it becomes the data set's `ignore_index`.
LEFT_OUT = 255


def _some(names: Iterable[str], most: int = 3) -> str:
    names = list(names)
    return ', '.join(map(repr, names[:most])) + (', …' if len(names) > most else '')


def _there(folder: str) -> str:
    """Say what files a folder holds."""
    names = list_files(folder)
    return f'there are {_some(names)}' if names else 'it holds no file'


def map_classes(own: Sequence[str] | None, wanted: Sequence[str] | None, owner: str) -> dict[int, int] | None:
    """Map each label of `own` classes to its place among the `wanted`, or to 255 where it is not wanted.

    Returns `None` where there is nothing to map: one of the two is unknown, or they are equal.
    """
    if own is None or wanted is None or list(own) == list(wanted):
        return None
    unknown = [name for name in wanted if name not in own]
    if unknown:
        near = [near for name in unknown for near in difflib.get_close_matches(name, own, n=1)]
        hint = f'did you mean {_some(near)}? ' if near else ''
        raise InputError(f"metainfo['classes'] names {_some(unknown)}, not among the {len(own)} classes of {owner}: "
                         f'{hint}They are {", ".join(own)}.')
    place = {name: index for index, name in reversed(list(enumerate(wanted)))}
    return {label: place.get(name, LEFT_OUT) for label, name in enumerate(own)}


def choose_palette(palette: Sequence, classes: Sequence[str], label_map: Mapping[int, int] | None,
                   by_label: bool = False) -> Sequence:
    """Return one colour for each class.

    Args:
        palette: a colour for each of `classes`, or for each label before `label_map`, or nothing: colours are made.
        classes: those that count.
        label_map: label in the files -> index in `classes`; `None` where they are the same.
        by_label: the palette is that of the labels; also assumed of one that is longer than `classes`.
    """
    if len(palette) == 0:
        return np.random.RandomState(42).randint(0, 255, size=(len(classes), 3)).tolist()
    if label_map is None or len(palette) == len(classes) and not by_label:
        chosen = palette
    else:
        kept = sorted((new, old) for old, new in label_map.items() if new != LEFT_OUT)
        chosen = type(palette)(palette[old] for _, old in kept if old < len(palette))
    if len(chosen) < len(classes):
        raise InputError(f"metainfo['palette'] has {len(palette)} colours for {len(classes)} classes: give one "
                         '[R, G, B] for each class, or no palette at all to have one made')
    return chosen


@DATASETS.register_module()
class BaseSegDataset(BaseDataset):
    """Pairs of an image and a label map, matched by name.

    ```
    data_root/img_path/x/y{img_suffix}  ↔  data_root/seg_map_path/x/y{seg_map_suffix}
    ```
    With a split file (`ann_file`) the samples are its lines, such as `x/y`, in their order; without, they are all
    images below `img_path`, sorted. Each sample is a dict with `img_path`, `seg_map_path`, `label_map`,
    `reduce_zero_label`, `ignore_index` and `seg_fields`.

    `ann_file` and each folder may also be a list: the parts are read one after the other, and what is given once goes
    with each of them.

    Args:
        ann_file: split file; relative to `data_root`.
        img_suffix: end of an image's name, from where it differs from the label's.
        seg_map_suffix: end of a label's name.
        metainfo: `classes` (a subset of those of the data set, in any order: the labels are mapped) and `palette`.
        data_root: folder that the other paths are relative to.
        data_prefix: folders: `img_path`, and `seg_map_path` unless there are no labels.
        filter_cfg: for subclasses that filter.
        indices: keep the first n samples (int), the last n (negative int), or these (sequence).
        serialize_data: keep the list as one array that workers share rather than copy.
        pipeline: transforms, or their configs.
        test_mode: labels may be missing, and a sample that cannot be loaded is an error rather than replaced.
        lazy_init: read no file until the first use, or until :meth:`full_init`.
        max_refetch: how many samples to try when the pipeline returns `None`.
        ignore_index: label of the classes that `metainfo` leaves out.
        reduce_zero_label: label 0 means ignored, and the others move down by one.
        backend_args: storage other than the local disk, as mmengine's `fileio` takes it.

    Raises:
        FileNotFoundError: a folder, split file, image or label is missing.
        InputError: classes, palette or lists do not fit together.
    """

    METAINFO: dict = {}
    # Whether missing folders and files are refused. Who looks at each file anyway, as `mmseg doctor`, sets it False.
    checks_files = True

    def __init__(self,
                 ann_file: str | Sequence[str] = '',
                 img_suffix: str = '.jpg',
                 seg_map_suffix: str = '.png',
                 metainfo: Mapping | None = None,
                 data_root: str | None = None,
                 data_prefix: dict = IMAGE_AND_LABEL,
                 filter_cfg: dict | None = None,
                 indices: int | Sequence[int] | None = None,
                 serialize_data: bool = True,
                 pipeline: Sequence[dict | Callable] = (),
                 test_mode: bool = False,
                 lazy_init: bool = False,
                 max_refetch: int = 1000,
                 ignore_index: int = 255,
                 reduce_zero_label: bool = False,
                 backend_args: dict | None = None) -> None:
        self.img_suffix = img_suffix
        self.seg_map_suffix = seg_map_suffix
        self.ignore_index = ignore_index
        self.reduce_zero_label = reduce_zero_label
        self.backend_args = dict(backend_args) if backend_args else None
        super().__init__(ann_file, metainfo, data_root and os.fspath(data_root), data_prefix, filter_cfg, indices,
                         serialize_data, (), test_mode, lazy_init=True, max_refetch=max_refetch)
        self.pipeline = Compose(pipeline)
        self._settle_classes()
        if not lazy_init:
            self.full_init()

    @classmethod
    def get_label_map(cls, new_classes: Sequence[str] | None = None) -> dict[int, int] | None:
        """Return what each label of `METAINFO['classes']` becomes when only `new_classes` count; left out ones: 255."""
        return map_classes(cls.METAINFO.get('classes'), new_classes, cls.__name__)

    def _settle_classes(self) -> None:
        """Bring label map and palette in line with the classes of `metainfo`."""
        label_map = self.get_label_map(self._metainfo.get('classes'))
        classes, palette = (self._metainfo.get(key, ()) for key in ('classes', 'palette'))
        by_label = np.array_equal(palette, self.METAINFO.get('palette', ()))
        self._metainfo['palette'] = choose_palette(palette, classes, label_map, by_label)
        self.label_map = label_map and {old: self.ignore_index if new == LEFT_OUT else new
                                        for old, new in label_map.items()}
        self._metainfo.update(label_map=self.label_map, reduce_zero_label=self.reduce_zero_label)

    def _join_prefix(self) -> None:
        def join(path):
            if isinstance(path, (list, tuple)):
                return [join(part) for part in path]
            path = os.fspath(path)
            return join_path(self.data_root, path) if self.data_root and not is_abs(path) else path

        if self.ann_file:
            self.ann_file = join(self.ann_file)
        self.data_prefix = {key: join(path) for key, path in self.data_prefix.items() if path is not None}

    def full_init(self) -> None:
        """Read the list of samples, once."""
        super().full_init()
        if self.test_mode and not self._metainfo.get('classes'):
            raise InputError(f'{type(self).__name__} has no classes, which a test needs: '
                             "give metainfo=dict(classes=('…', '…'))")

    def _serialize_data(self) -> tuple[np.ndarray, np.ndarray]:
        samples = [pickle.dumps(sample, protocol=4) for sample in self.data_list]
        self.data_list.clear()
        ends = np.cumsum([len(sample) for sample in samples], dtype=np.int64)
        return np.frombuffer(b''.join(samples), np.uint8), ends

    # ------------------------------------------------------------------ list of samples

    def suffixes(self) -> dict[str, str]:
        """Return, by their keys in `data_prefix`, the ends of the names of the files that make one sample."""
        return dict(img_path=self.img_suffix, seg_map_path=self.seg_map_suffix)

    def make_sample(self, paths: dict[str, str]) -> dict:
        """Return what the pipeline starts from, given the path of each file."""
        return dict(paths, label_map=self.label_map, reduce_zero_label=self.reduce_zero_label,
                    ignore_index=self.ignore_index, seg_fields=[])

    def load_data_list(self) -> list[dict]:
        """Return all samples, checked for missing files where they are on the local disk."""
        samples = []
        for split, folders in self._parts():
            local = isinstance(get_file_backend(folders['img_path'], backend_args=self.backend_args), LocalBackend)
            if local and self.checks_files:
                self._check_folders(folders)
            if split:
                stems = [name.removesuffix(self.img_suffix) for name in self._read_split(split)]
            else:
                stems = self._list_images(folders, local)
            files = {key: (os.path.join(folder, ''), self.suffixes()[key]) for key, folder in folders.items()}
            if local and self.checks_files:
                self._check_files(stems, files, split)
            samples += [self.make_sample({key: folder + stem + suffix for key, (folder, suffix) in files.items()})
                        for stem in stems]
        return samples

    def _parts(self) -> list[tuple[str, dict[str, str]]]:
        """Return each split file (or '') with its folders; lists are read in step, one path goes with every item."""
        columns = {'ann_file': self.ann_file or '',
                   **{key: self.data_prefix[key] for key in self.suffixes() if key in self.data_prefix}}
        if 'img_path' not in columns:
            raise InputError(f'data_prefix has {_some(self.data_prefix) or "no key"}: expected img_path, the folder of '
                             'the images')
        lengths = {key: len(value) for key, value in columns.items() if isinstance(value, list)}
        if len(set(lengths.values())) > 1:
            found = ', '.join(f'{length} of {key}' for key, length in lengths.items())
            raise InputError(f'lists of paths are read in step, but there are {found}: give the same number of each, '
                             'or one path for all')
        rows = max(lengths.values(), default=1)
        splits, *folders = (value if isinstance(value, list) else [value] * rows for value in columns.values())
        # A split "file" that is a folder means no split: older configs write it so.
        return [('' if os.path.isdir(split) else split, dict(zip(list(columns)[1:], row)))
                for split, *row in zip(splits, *folders)]

    def _read_split(self, split: str) -> list[str]:
        """Return the lines of a split file: names of images, with or without `img_suffix`."""
        try:
            lines = [line.strip() for line in list_from_file(split, backend_args=self.backend_args)]
        except (FileNotFoundError, NotADirectoryError):
            raise FileNotFoundError(f'ann_file {split!r} does not exist: {self._what_is_near(split)}') from None
        names = [line for line in lines if line]
        if not names:
            raise InputError(f'ann_file {split!r} is empty: expected the name of an image in each line')
        return names

    def _list_images(self, folders: dict[str, str], local: bool) -> list[str]:
        """Return the stems (path in the folder, without suffix) of all images, in the order of their file names."""
        folder, suffix = folders['img_path'], self.img_suffix
        if local:
            names = list_files(folder, suffix)
        else:
            names = sorted(list_dir_or_file(folder, list_dir=False, suffix=suffix, recursive=True,
                                            backend_args=self.backend_args))
        labels = self.seg_map_suffix if folder == folders.get('seg_map_path') else ''
        if len(labels) > len(suffix):
            # x.png beside its label x_mask.png: what ends like a label is none of the images.
            names = [name for name in names if not name.endswith(labels)]
        if not names:
            raise FileNotFoundError(f"data_prefix['img_path']: no file of {folder!r} ends with {suffix!r}; "
                                    f'{_there(folder) if local else "found none"}: correct img_suffix or the folder')
        return [name[:len(name) - len(suffix)] for name in names]

    # ------------------------------------------------------------------ checks

    def _is_optional(self, key: str) -> bool:
        """Whether files of this kind may be missing: labels, in a test."""
        return self.test_mode and not key.startswith('img_path')

    def _check_folders(self, folders: dict[str, str]) -> None:
        for key, folder in folders.items():
            if not (os.path.isdir(folder) or self._is_optional(key)):
                raise FileNotFoundError(f'data_prefix[{key!r}]: the folder {folder!r} does not exist; '
                                        f'{self._what_is_near(folder)}')

    def _check_files(self, stems: list[str], files: dict[str, tuple[str, str]], split: str) -> None:
        """Compare the samples with the listings of their folders: a few calls to the disk, however many files."""
        for key, (folder, suffix) in files.items():
            if self._is_optional(key) or (key == 'img_path' and not split):
                continue
            wanted = [stem + suffix for stem in stems]
            if split:
                missing = missing_files(folder, wanted)
            else:
                there = set(list_files(folder, suffix))
                missing = [name for name in wanted if name not in there]
            if missing:
                raise FileNotFoundError(self._missing_message(key, folder, missing, len(wanted), split))
            if not split and len(there) > len(wanted):
                spare = sorted(there.difference(wanted))
                print_log(f'{len(spare)} of {len(there)} files of data_prefix[{key!r}]={folder!r} belong to no image '
                          f'and are left out: {_some(spare)}', 'current', logging.WARNING)

    def _missing_message(self, key: str, folder: str, missing: list[str], total: int, split: str) -> str:
        if key == 'img_path':
            return (f'ann_file {split!r} names {len(missing)} of {total} images that are not in {folder!r}: '
                    f'{_some(missing)}; {_there(folder)}: correct ann_file, img_suffix ({self.img_suffix!r}) or '
                    "data_prefix['img_path']")
        advice = f'correct data_prefix[{key!r}] or the suffix'
        if not key.startswith('img_path'):
            advice += ', convert the labels (tools/dataset_converters), or set test_mode=True where there are none'
        return (f'{len(missing)} of {total} images have no file in data_prefix[{key!r}]={folder!r}, expected '
                f'{_some(missing)}; {_there(folder)}: {advice}')

    def _what_is_near(self, path: str) -> str:
        near = nearest_folder(path)
        inside = sorted(name for name in os.listdir(near) if not name.startswith('.'))
        return (f'the nearest folder that exists is {near!r}, which holds {_some(inside, 8) or "nothing"}: correct '
                f'data_root ({self.data_root!r}) or this path')


@DATASETS.register_module()
class BaseCDDataset(BaseSegDataset):
    """Two images of one place and the label map of what changed between them, matched by name.

    As :class:`BaseSegDataset`, with the second images in `data_prefix['img_path2']`, whose names end with
    `img_suffix2`. Split files may also name files with their extension, which is then that of all three.
    """

    def __init__(self,
                 ann_file: str | Sequence[str] = '',
                 img_suffix: str = '.jpg',
                 img_suffix2: str = '.jpg',
                 seg_map_suffix: str = '.png',
                 metainfo: Mapping | None = None,
                 data_root: str | None = None,
                 data_prefix: dict = TWO_IMAGES_AND_LABEL,
                 filter_cfg: dict | None = None,
                 indices: int | Sequence[int] | None = None,
                 serialize_data: bool = True,
                 pipeline: Sequence[dict | Callable] = (),
                 test_mode: bool = False,
                 lazy_init: bool = False,
                 max_refetch: int = 1000,
                 ignore_index: int = 255,
                 reduce_zero_label: bool = False,
                 backend_args: dict | None = None) -> None:
        self.img_suffix2 = img_suffix2
        super().__init__(ann_file, img_suffix, seg_map_suffix, metainfo, data_root, data_prefix, filter_cfg, indices,
                         serialize_data, pipeline, test_mode, lazy_init, max_refetch, ignore_index, reduce_zero_label,
                         backend_args)

    def suffixes(self) -> dict[str, str]:
        return dict(img_path=self.img_suffix, img_path2=self.img_suffix2, seg_map_path=self.seg_map_suffix)

    def _read_split(self, split: str) -> list[str]:
        names = super()._read_split(split)
        extension = os.path.splitext(names[0])[1]
        if extension:
            self.img_suffix = self.img_suffix2 = self.seg_map_suffix = extension
        return names
