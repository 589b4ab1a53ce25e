"""Classes and palettes by the usual short names of the data sets; each stands in the data set's own file.

Every name has two functions beside the general ones: `cityscapes_classes()`, `cityscapes_palette()` and so on.
"""
from __future__ import annotations

import difflib
from collections.abc import Callable

from mmseg.registry import DATASETS
from mmseg.utils.errors import InputError

# Short name -> the data set, and other names of it.
_NAMES = {
    'cityscapes': ('CityscapesDataset', []),
    'ade': ('ADE20KDataset', ['ade20k']),
    'voc': ('PascalVOCDataset', ['pascal_voc', 'voc12', 'voc12aug']),
    'pcontext': ('PascalContextDataset59', ['pascal_context', 'voc2010']),
    'loveda': ('LoveDADataset', []),
    'potsdam': ('PotsdamDataset', []),
    'vaihingen': ('ISPRSDataset', []),
    'cocostuff': ('COCOStuffDataset', [
        'cocostuff10k', 'cocostuff164k', 'coco-stuff', 'coco-stuff10k', 'coco-stuff164k', 'coco_stuff', 'coco_stuff10k',
        'coco_stuff164k']),
    'isaid': ('iSAIDDataset', ['iSAID']),
    'stare': ('STAREDataset', ['STARE']),
    'lip': ('LIPDataset', ['LIP']),
    'mapillary_v1': ('MapillaryDataset_v1', []),
    'mapillary_v2': ('MapillaryDataset_v2', []),
    'bdd100k': ('BDD100KDataset', []),
    'synapse': ('SynapseDataset', []),
    'camvid': ('CamVidDataset', []),
}
dataset_aliases = {name: [name, *others] for name, (_, others) in _NAMES.items()}


def _metainfo(dataset: str, key: str) -> list:
    """Return an entry of a data set's metainfo by one of its short names, or by the name of its class."""
    if not isinstance(dataset, str):
        raise TypeError(f'the name of a data set is a str, but got {dataset!r}')
    known = {alias.lower(): _NAMES[name][0] for name, aliases in dataset_aliases.items() for alias in aliases}
    name = known.get(dataset.lower(), dataset)
    values = DATASETS.get(name).METAINFO.get(key) if name in DATASETS else None
    if values is None:
        near = difflib.get_close_matches(dataset.lower(), known, n=3)
        hint = f'did you mean {" or ".join(near)}?' if near else f'known are {", ".join(_NAMES)}.'
        raise InputError(f'{dataset!r} is not the name of a data set with a list of {key}: {hint}')
    return values


def get_classes(dataset: str) -> list[str]:
    """Return the names of the classes of a data set, such as `'cityscapes'`."""
    return list(_metainfo(dataset, 'classes'))


def get_palette(dataset: str) -> list[list[int]]:
    """Return the colours [R, G, B] of the classes of a data set, such as `'cityscapes'`."""
    return [list(colour) for colour in _metainfo(dataset, 'palette')]


def _publish(getter: Callable, dataset: str) -> None:
    """Make `cityscapes_classes()` out of `get_classes('cityscapes')`."""
    def read():
        return getter(dataset)

    read.__name__ = read.__qualname__ = f'{dataset}_{getter.__name__.removeprefix("get_")}'
    read.__doc__ = f'{getter.__name__}({dataset!r})'
    globals()[read.__name__] = read


for _name in _NAMES:
    _publish(get_classes, _name)
    _publish(get_palette, _name)
