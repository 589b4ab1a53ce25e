"""Your own images and masks, in one folder."""
from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from mmseg.datasets.basesegdataset import BaseSegDataset, map_classes
from mmseg.registry import DATASETS
from mmseg.utils.io import list_files

PICTURES = ('.png', '.jpg', '.jpeg', '.tif', '.tiff', '.bmp', '.webp')
BUILT_IN = 'scenes'
LAYOUT = ('in it images/train (png, jpg, tif, …), masks/train (files of the same names; one channel, the class of each '
          'pixel from 0, 255 where it does not count), the same for val, and classes.txt (a line for each class: its '
          'name and, if you like, its colour, such as road 128 64 128)')


def read_classes(path: str | os.PathLike) -> dict[str, tuple]:
    """Read `name` or `name red green blue` from each line of a file; the first line is class 0.

    Returns:
        `classes` and, where every line gives a colour, `palette`.
    """
    names, colours = [], []
    for number, line in enumerate(Path(path).read_text(encoding='utf-8').splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith('#'):
            continue
        name, *colour = re.fullmatch(r'\s*(\S.*?)(?:\s+(\d+)\s+(\d+)\s+(\d+))?\s*', line).groups()
        names.append(name)
        if colour[0] is not None:
            colours.append(tuple(map(int, colour)))
            if max(colours[-1]) > 255:
                raise ValueError(f'{path}, line {number}: the colour {colours[-1]} of {name!r} has a value over 255')
    if not names:
        raise ValueError(f'{path} names no class: expected a line for each, such as "road 128 64 128"')
    if colours and len(colours) != len(names):
        raise ValueError(f'{path} gives {len(colours)} colours for {len(names)} classes: give one to each, or to none')
    return dict(classes=tuple(names), palette=tuple(colours)) if colours else dict(classes=tuple(names))


@DATASETS.register_module()
class FolderDataset(BaseSegDataset):
    """Images with masks of the same name; their classes stand in `classes.txt`.

    ```
    data_root/images/train/street/a.jpg  ↔  data_root/masks/train/street/a.png
    ```
    A mask has one channel: the class of each pixel, counted from 0. A folder named `scenes` that does not exist is
    composed on the spot (:mod:`mmseg.datasets.scenes`), so a config runs before any data are at hand.

    Args:
        data_root: the folder; the other paths are relative to it.
        data_prefix: where the images and masks of this split lie.
        ann_file: split file, one image (without its suffix) a line; without one, all images of the folder are used.
        img_suffix: end of an image's name; by default any of .png .jpg .jpeg .tif .tiff .bmp .webp, even mixed.
        seg_map_suffix: the same for masks, `_mask.png` for instance.
        metainfo: `classes` and `palette`, instead of `classes.txt` or to choose some of its classes.
        kwargs: those of :class:`BaseSegDataset`.

    Raises:
        FileNotFoundError: a folder, image or mask is missing; the message says what is expected where.
        ValueError: a mask is a picture in colour, or holds a number that is none of the classes.
    """

    def __init__(self,
                 data_root: str,
                 data_prefix: Mapping[str, str] | None = None,
                 ann_file: str | Sequence[str] = '',
                 img_suffix: str = '',
                 seg_map_suffix: str = '',
                 metainfo: Mapping | None = None,
                 **kwargs) -> None:
        root = Path(data_root)
        if not root.is_dir():
            if root.name != BUILT_IN:
                raise FileNotFoundError(f'data_root: there is no folder {str(root)!r}: expected one, and {LAYOUT}')
            from mmseg.datasets.scenes import write_scenes
            write_scenes(root)
        table = root / 'classes.txt'
        own = read_classes(table) if table.is_file() else {}
        if not own and not (metainfo or {}).get('classes'):
            raise FileNotFoundError(f'{table} does not exist, and metainfo names no classes: give one of the two; '
                                    f'data_root is expected to have {LAYOUT}')
        self._own_classes = own.get('classes')
        super().__init__(ann_file, img_suffix, seg_map_suffix, {**own, **(metainfo or {})}, str(root),
                         dict(data_prefix or dict(img_path='images/train', seg_map_path='masks/train')), **kwargs)

    def get_label_map(self, new_classes: Sequence[str] | None = None) -> dict[int, int] | None:
        """Return what each label of `classes.txt` becomes when only `new_classes` count."""
        return map_classes(self._own_classes, new_classes, str(self.data_root))

    def load_data_list(self) -> list[dict]:
        """Return all samples, after a look at the first mask."""
        samples = [self.make_sample(paths) for split, folders in self._parts() for paths in self._pairs(split, folders)]
        if 'seg_map_path' in samples[0]:
            self._check_mask(samples[0]['seg_map_path'])
        return samples

    def _pairs(self, split: str, folders: dict[str, str]) -> list[dict[str, str]]:
        """Match the files of one split by their names."""
        needed = {key: folder for key, folder in folders.items() if os.path.isdir(folder) or not self._is_optional(key)}
        files = {key: self._by_stem(folder, self.suffixes()[key]) for key, folder in needed.items()}
        stems = sorted(files['img_path'])
        if split:
            stems = [os.path.splitext(name)[0] if name not in files['img_path'] else name
                     for name in self._read_split(split)]
        for key, found in files.items():
            missing = [stem for stem in stems if stem not in found]
            if missing and not self._is_optional(key):
                raise FileNotFoundError(
                    f'{len(missing)} of {len(stems)} images have no file in {folders[key]!r}, {missing[0]!r} first: it '
                    'needs a file of the same name (and any suffix) in each of images/… and masks/…')
        return [{key: found[stem] for key, found in files.items() if stem in found} for stem in stems]

    def _by_stem(self, folder: str, suffix: str) -> dict[str, str]:
        """Return the path of each picture in a folder by its name without suffix."""
        if not os.path.isdir(folder):
            raise FileNotFoundError(f'there is no folder {folder!r}; data_root is expected to have {LAYOUT}')
        names = [name for name in list_files(folder) if name.lower().endswith(suffix.lower() or PICTURES)]
        found = {name[:-len(suffix)] if suffix else os.path.splitext(name)[0]: os.path.join(folder, name)
                 for name in names}
        if not names:
            raise FileNotFoundError(f'{folder!r} holds no picture that ends with {suffix or " ".join(PICTURES)}; '
                                    f'data_root is expected to have {LAYOUT}')
        if len(found) < len(names):
            raise ValueError(f'{folder!r} holds {len(names)} pictures of {len(found)} names, such as a.png and a.jpg: '
                             'keep one of each, or set img_suffix or seg_map_suffix')
        return found

    def _check_mask(self, path: str) -> None:
        """Refuse masks painted in colours, and numbers without a class, before they fail deep inside a training."""
        with Image.open(path) as picture:
            mask = np.asarray(picture)
        if mask.ndim != 2:
            raise ValueError(f'the mask {path!r} has {mask.shape[2]} channels: expected one, the number of the class '
                             'of each pixel, not its colour')
        count = len(self._own_classes or self.metainfo['classes'])
        allowed = range(count + self.reduce_zero_label)
        strange = [number for number in np.unique(mask).tolist() if number not in (*allowed, self.ignore_index)]
        if strange:
            raise ValueError(f'the mask {path!r} holds {strange[:5]}, but there are {count} classes: expected 0 to '
                             f'{allowed[-1]}, or {self.ignore_index} for pixels that do not count')

