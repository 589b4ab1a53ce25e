"""The number of classes: taken from the data where a head leaves it open, compared where both state it."""
from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import nn

from mmseg.registry import DATASETS
from mmseg.utils.errors import InputError


class ClassCountError(InputError):
    """Model and data set disagree about the number of classes."""


def fill_num_classes(model: Mapping, dataset: Mapping | None) -> int | None:
    """Set every `num_classes=None` of a model's heads to the number of classes of the training data, in place.

    Returns:
        The number, or None where nothing was open.

    Raises:
        ClassCountError: it is open and the data set does not say how many classes it has.
    """
    heads = [head for part in ('decode_head', 'auxiliary_head') for head in _nested(model.get(part))
             if 'num_classes' in head and head['num_classes'] is None]
    if not heads:
        return None
    classes = _classes_of_config(dataset) if dataset is not None else None
    if classes is None:
        raise ClassCountError('num_classes of a head is None, to be taken from the training data set, and that names '
                              'no classes: give num_classes, or metainfo=dict(classes=(...)) of the data set')
    for head in heads:
        head['num_classes'] = len(classes)
    return len(classes)


def _nested(config) -> Iterator[dict]:
    """Yield every dictionary inside a config."""
    if isinstance(config, dict):
        yield config
        config = list(config.values())
    if isinstance(config, list | tuple):
        for value in config:
            yield from _nested(value)


def _classes_of_config(dataset: Mapping) -> tuple | None:
    while 'dataset' in dataset or 'datasets' in dataset:  # repeated, concatenated or mixed
        dataset = dataset['dataset'] if 'dataset' in dataset else dataset['datasets'][0]
    stated = (dataset.get('metainfo') or {}).get('classes')
    if stated is not None and not isinstance(stated, str):
        return stated
    kind = DATASETS.get(dataset['type']) if isinstance(dataset['type'], str) else dataset['type']
    known = getattr(kind, 'METAINFO', {}).get('classes')
    if stated is None and known:
        return known
    # A file tells them, one class a line: the data set reads it.
    return DATASETS.build({**dataset, 'lazy_init': True}).metainfo.get('classes')


def check_num_classes(model: nn.Module, metainfo: Mapping | None, field: str) -> None:
    """Compare the decode heads of a model with the classes of a data set; heads or data without any are let be.

    Auxiliary heads may predict something else, such as STDC's edges; depth estimators predict no classes at all.

    Args:
        metainfo: the data set's, with its `classes`.
        field: where the config states the data set, such as `train_dataloader.dataset`.

    Raises:
        ClassCountError: they disagree; the message names both fields and numbers.
    """
    classes = (metainfo or {}).get('classes')
    if not classes or any(base.__name__ == 'DepthEstimator' for base in type(model).__mro__):
        return
    heads = getattr(model, 'decode_head', None)
    cascade = isinstance(heads, nn.ModuleList | list | tuple)
    for position, head in enumerate(heads if cascade else [heads]):
        number = getattr(head, 'num_classes', None)
        if number is not None and number != len(classes):
            name = f'model.decode_head{f"[{position}]" if cascade else ""}.num_classes'
            raise ClassCountError(
                f'{name} is {number}, but {field} has {len(classes)} classes ({", ".join(map(str, classes[:3]))}, …): '
                f'set num_classes={len(classes)}, or leave it None to take the number from the training data set')
