"""Names and colours of the classes that a model tells apart."""
from __future__ import annotations

import warnings
from collections.abc import Sequence

from mmseg.registry import DATASETS
from mmseg.utils import dataset_aliases, get_classes, get_palette
from mmseg.utils.errors import InputError
from mmseg.visualization.drawing import distinct_colors


def class_info(cfg, checkpoint: dict | None, num_classes: int | None) -> dict:
    """Return `classes` and `palette` of a model: as its checkpoint says, else the data set of its config, else a guess.

    Args:
        cfg: config of the model.
        checkpoint: content of its checkpoint.
        num_classes: how many it tells apart; a data set of the config with another number is passed over.
    """
    info = _of_checkpoint(checkpoint)
    if info['classes'] is None:
        info = _of_dataset((cfg.get('test_dataloader') or {}).get('dataset') or {})
        if num_classes is not None and info['classes'] is not None and len(info['classes']) != num_classes:
            info = dict(classes=None, palette=None)
    if info['classes'] is None:
        info = _guess(num_classes or 1)
    if info['palette'] is None or len(info['palette']) < len(info['classes']):
        info['palette'] = distinct_colors(len(info['classes']))
    return info


def info_of_dataset(name: str, num_classes: int | None) -> dict:
    """Return `classes` and `palette` of a data set by its name, for a model that tells `num_classes` apart.

    Raises:
        InputError: the model has more classes than the data set has colours.
    """
    info = dict(classes=get_classes(name), palette=get_palette(name))
    if num_classes is not None and len(info['classes']) < num_classes:
        raise InputError(f'the palette of {name} has {len(info["palette"])} colours, but the model tells {num_classes} '
                         'classes apart: name the data set that it was trained on, or none')
    return info


def classes_of_checkpoint(checkpoint: dict | None) -> Sequence[str] | None:
    """Return the names of the classes that a checkpoint was trained on, if it has them."""
    return _of_checkpoint(checkpoint)['classes']


def _of_checkpoint(checkpoint: dict | None) -> dict:
    """1.x keeps `dataset_meta`, 0.x `CLASSES` and `PALETTE`."""
    meta = (checkpoint or {}).get('meta') or {}
    known = {key.lower(): value for key, value in {**meta, **(meta.get('dataset_meta') or {})}.items()}
    return dict(classes=known.get('classes'), palette=known.get('palette'))


def _of_dataset(dataset: dict) -> dict:
    while 'type' in dataset and ('dataset' in dataset or 'datasets' in dataset):
        dataset = dataset['dataset'] if 'dataset' in dataset else dataset['datasets'][0]
    base = getattr(DATASETS.get(dataset['type']), 'METAINFO', {}) if 'type' in dataset else {}
    own = dataset.get('metainfo') or {}
    classes, palette = own.get('classes', base.get('classes')), own.get('palette')
    if palette is not None and classes is not None and len(palette) != len(classes):
        raise InputError(f"metainfo of the config's data set has {len(palette)} colours for {len(classes)} classes: "
                         'give one colour for each class, or leave the palette out')
    if palette is None and base.get('palette') and set(classes) <= set(base['classes']):
        color = dict(zip(base['classes'], base['palette']))
        palette = [color[name] for name in classes]
    return dict(classes=classes, palette=palette)


def _guess(num_classes: int) -> dict:
    for name in dataset_aliases:
        if len(get_classes(name)) == num_classes:
            warnings.warn(f'neither checkpoint nor config names the classes: taking those of {name}, which has '
                          f'{num_classes} too', stacklevel=4)
            return dict(classes=get_classes(name), palette=get_palette(name))
    warnings.warn(f'neither checkpoint nor config names the {num_classes} classes: numbering them', stacklevel=4)
    return dict(classes=[str(label) for label in range(num_classes)], palette=None)
