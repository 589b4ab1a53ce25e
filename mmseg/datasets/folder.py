"""Your own images and masks, in one folder."""
from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mmseg.datasets.basesegdataset import LEFT_OUT, BaseSegDataset, map_classes
from mmseg.registry import DATASETS
from mmseg.utils.errors import InputError
from mmseg.utils.imread import decode_image, decode_labels, read_file
from mmseg.utils.io import list_files

PICTURES = ('.png', '.jpg', '.jpeg', '.tif', '.tiff', '.bmp', '.webp')
BUILT_IN = 'scenes'
BLACK = (0, 0, 0)
LAYOUT = ('in it images/train (png, jpg, tif, …), masks/train (files of the same names; one channel, the class of each '
          'pixel from 0, 255 where it does not count, or pictures in the colours of the classes), the same for val, '
          'and classes.txt (a line for each class: its name and, if you like, its colour, such as road 128 64 128)')

_CLASS_LINE = re.compile(r'\s*(\S.*?)(?:[\s,;:]+[\[(]?(\d+)[\s,]+(\d+)[\s,]+(\d+)[\])]?:*)?\s*')


def read_classes(path: str | os.PathLike) -> dict[str, tuple]:
    """Read `name` or `name red green blue` from each line of a file; the first line is class 0.

    Commas, colons and brackets around the numbers do no harm: `road:128,64,128::`, as CVAT writes it, is read too.

    Returns:
        `classes` and, where every line gives a colour, `palette`.
    """
    names, colours = [], []
    for number, line in enumerate(Path(path).read_text(encoding='utf-8-sig').splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith('#'):
            continue
        name, *colour = _CLASS_LINE.fullmatch(line).groups()
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
    """Images with masks of the same name; their classes stand in `classes.txt`, or in the config.

    ```
    data_root/images/train/street/a.jpg  ↔  data_root/masks/train/street/a.png
    ```
    A mask has one channel: the class of each pixel, counted from 0. Or it is a picture in the colours of the classes,
    in which black is ignored unless it is the colour of a class. A folder named `scenes` that does not exist is
    composed on the spot (:mod:`mmseg.datasets.scenes`), so a config runs before any data are at hand.

    Args:
        data_root: the folder; the other paths are relative to it.
        data_prefix: where the images and masks of this split lie.
        ann_file: split file, one image (without its suffix) a line; without one, all images of the folder are used.
        img_suffix: end of an image's name; by default any of .png .jpg .jpeg .tif .tiff .bmp .webp, even mixed.
        seg_map_suffix: the same for masks, `_mask.png` for instance.
        metainfo: `classes` and `palette`, instead of `classes.txt` or to choose some of its classes; `classes` may
            also be the path of such a file.
        mask_colors: whether masks are painted in the colours of the palette; by default as the first mask looks.
            `True` also takes grey masks so: 0 and 255 are then the colours black and white.
        kwargs: those of :class:`BaseSegDataset`.

    Raises:
        FileNotFoundError: a folder, image or mask is missing; the message says what is expected where.
        ValueError: the first mask has a colour or number that is none of the classes.
    """

    def __init__(self,
                 data_root: str,
                 data_prefix: Mapping[str, str] | None = None,
                 ann_file: str | Sequence[str] = '',
                 img_suffix: str = '',
                 seg_map_suffix: str = '',
                 metainfo: Mapping | None = None,
                 mask_colors: bool | None = None,
                 **kwargs) -> None:
        root = Path(data_root)
        if not root.is_dir():
            if root.name != BUILT_IN:
                raise FileNotFoundError(f'data_root: there is no folder {str(root)!r}: expected one, and {LAYOUT}')
            from mmseg.datasets.scenes import write_scenes
            write_scenes(root)
        metainfo = dict(metainfo or {})
        table = root / 'classes.txt'
        if isinstance(metainfo.get('classes'), (str, os.PathLike)):
            table = self._find_table(root, metainfo.pop('classes'))
        own = read_classes(table) if table.is_file() else {}
        if not own and not metainfo.get('classes'):
            raise FileNotFoundError(f'{table} does not exist, and metainfo names no classes: give one of the two; '
                                    f'data_root is expected to have {LAYOUT}')
        self._own_classes = own.get('classes') or metainfo['classes']
        self._own_colours = metainfo.get('palette') or ()
        if len(self._own_colours) != len(self._own_classes):  # none, or those of some chosen classes
            self._own_colours = own.get('palette') or ()
        self.mask_colors = mask_colors
        super().__init__(ann_file, img_suffix, seg_map_suffix, {**own, **metainfo}, str(root),
                         dict(data_prefix or dict(img_path='images/train', seg_map_path='masks/train')), **kwargs)

    @staticmethod
    def _find_table(root: Path, name: str | os.PathLike) -> Path:
        """Return the file of classes that `metainfo` names: in `data_root`, or where it says."""
        for path in (root / name, Path(name)):
            if path.is_file():
                return path
        raise FileNotFoundError(f"metainfo['classes']: there is no file {str(name)!r}, neither in {str(root)!r} nor "
                                'here: give the path of a file with a class in each line, or a list of names')

    def get_label_map(self, new_classes: Sequence[str] | None = None) -> dict[int, int] | None:
        """Return what each label of `classes.txt` becomes when only `new_classes` count."""
        return map_classes(self._own_classes, new_classes, str(self.data_root))

    def load_data_list(self) -> list[dict]:
        """Return all samples, after a look at the first mask."""
        samples = [self.make_sample(paths) for split, folders in self._parts() for paths in self._pairs(split, folders)]
        first = samples[0].get('seg_map_path')
        if first is None or not os.path.isfile(first):
            return samples
        if self._has_colours(first):
            colors = self._label_of_colours(first)
            for sample in samples:
                sample['label_colors'] = colors
        if self.checks_files:
            self._check_mask(first, samples[0].get('label_colors'))
        return samples

    def _pairs(self, split: str, folders: dict[str, str]) -> list[dict[str, str]]:
        """Match the files of one split by their names."""
        needed = {key: folder for key, folder in folders.items() if os.path.isdir(folder) or not self._is_optional(key)}
        files = {key: self._by_stem(key, folder) for key, folder in needed.items()}
        stems = sorted(files['img_path'])
        if split:
            stems = [os.path.splitext(name)[0] if name not in files['img_path'] else name
                     for name in self._read_split(split)]
        for key, found in files.items():
            missing = [stem for stem in stems if stem not in found]
            if missing and self.checks_files and not self._is_optional(key):
                raise FileNotFoundError(
                    f'{len(missing)} of {len(stems)} images have no file in {folders[key]!r}, {missing[0]!r} first: it '
                    f'needs a file of the same name (and any suffix) in each of images/… and masks/…'
                    f'{self._hint_at_suffix(key, missing[0], found)}')
        return [{key: found.get(stem) or os.path.join(folders[key], stem + self.suffixes()[key])
                 for key, found in files.items() if stem in found or not self._is_optional(key)} for stem in stems]

    @staticmethod
    def _hint_at_suffix(key: str, stem: str, found: dict[str, str]) -> str:
        """Say which suffix to set where a file's name merely goes on after that of the image."""
        near = next((path for name, path in found.items() if name.startswith(stem)), None)
        if near is None or key == 'img_path':
            return ''
        return f"; {near!r} looks like it: set seg_map_suffix={os.path.basename(near)[len(os.path.basename(stem)):]!r}"

    def _by_stem(self, key: str, folder: str) -> dict[str, str]:
        """Return the path of each picture in a folder by its name without suffix."""
        suffix = self.suffixes()[key]
        if not os.path.isdir(folder):
            if not self.checks_files and key != 'img_path':
                return {}
            hint = '' if key == 'img_path' else ' (or set test_mode=True where there are no masks)'
            raise FileNotFoundError(f'there is no folder {folder!r}; data_root is expected to have {LAYOUT}{hint}')
        names = [name for name in list_files(folder) if name.lower().endswith(suffix.lower() or PICTURES)]
        found = {name[:-len(suffix)] if suffix else os.path.splitext(name)[0]: os.path.join(folder, name)
                 for name in names}
        if not names and (self.checks_files or key == 'img_path'):
            raise FileNotFoundError(f'{folder!r} holds no picture that ends with {suffix or " ".join(PICTURES)}; '
                                    f'data_root is expected to have {LAYOUT}')
        if len(found) < len(names):
            raise ValueError(f'{folder!r} holds {len(names)} pictures of {len(found)} names, such as a.png and a.jpg: '
                             'keep one of each, or set img_suffix or seg_map_suffix')
        return found

    def _has_colours(self, path: str) -> bool:
        """Whether masks are painted in colours: as `mask_colors` says, or else as a mask looks."""
        if self.mask_colors is not None:
            return self.mask_colors
        content = read_file(path, self.backend_args)
        try:
            decode_labels(content, path)
        except InputError:
            try:
                return decode_image(content, path, 'unchanged').shape[2:] in ((3,), (4,))
            except InputError:
                return False
        return False

    def _label_of_colours(self, path: str) -> dict[tuple[int, int, int], int]:
        """Return the label of each colour of the palette."""
        if len(self._own_colours) != len(self._own_classes):
            raise InputError(f'the mask {path!r} is painted in colours, but the classes have none: give each line of '
                             'classes.txt its colour (road 128 64 128), or metainfo a palette of RGB colours; or save '
                             'masks with one channel that holds the number of the class')
        colors = {tuple(map(int, colour)): label for label, colour in enumerate(self._own_colours)}
        if len(colors) < len(self._own_colours):
            raise InputError(f'the mask {path!r} is painted in colours, but only {len(colors)} of the '
                             f'{len(self._own_colours)} classes have a colour of their own: give each its own')
        return {BLACK: LEFT_OUT if self.ignore_index is None else self.ignore_index, **colors}

    def _check_mask(self, path: str, colors: Mapping | None) -> None:
        """Refuse colours and numbers without a class before they fail deep inside a training."""
        mask = decode_labels(read_file(path, self.backend_args), path, colors=colors)
        count = len(self._own_classes)
        allowed = range(count + self.reduce_zero_label)
        strange = [number for number in np.unique(mask).tolist() if number not in (*allowed, self.ignore_index)]
        if strange:
            raise ValueError(f'the mask {path!r} holds {strange[:5]}, but there are {count} classes: expected 0 to '
                             f'{allowed[-1]}, or {self.ignore_index} for pixels that do not count')
