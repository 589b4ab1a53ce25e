"""What a config says about its data: the data sets of each split, and how their files are read."""
from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from mmengine.dataset import BaseDataset

from mmseg.registry import DATASETS

LOADERS_OF_LABELS = ('LoadAnnotations', 'LoadBiomedicalAnnotation')
SPLITS = ('train', 'val', 'test')


@dataclass
class Recipe:
    """How the samples of a data set are read: configs of loading transforms. Small, for it goes to every process."""

    images: list[dict]
    labels: dict
    num_classes: int
    ignore_index: int


@dataclass
class Source:
    """A data set without wrappers, or why it cannot be listed."""

    recipe: Recipe | None = None
    samples: BaseDataset | tuple = ()
    has_labels: bool = False
    classes: tuple[str, ...] = ()
    reduce_zero_label: bool = False
    maps_labels: bool = False
    error: str = ''


@dataclass
class Split:
    """What one dataloader reads, or several that read the same."""

    name: str
    sources: list[Source] = field(default_factory=list)

    def __len__(self) -> int:
        return sum(len(source.samples) for source in self.sources)

    @property
    def classes(self) -> tuple[str, ...]:
        return next((source.classes for source in self.sources if source.classes), ())


def innermost(dataset: Mapping) -> Iterator[dict]:
    """Yield the configs of the data sets inside wrappers that repeat, concatenate or mix."""
    inner = [dataset['dataset']] if 'dataset' in dataset else dataset.get('datasets')
    if inner is None:
        yield dict(dataset)
    for child in inner or ():
        yield from innermost(child)


def open_splits(cfg: Mapping, names: tuple[str, ...] = SPLITS) -> list[Split]:
    """List the samples of each dataloader of a config; those that read the same are one split, such as `val = test`."""
    splits, seen = [], {}
    for name in names:
        dataset = (cfg.get(f'{name}_dataloader') or {}).get('dataset')
        if dataset is None:
            continue
        key = repr([{**leaf, 'pipeline': None} for leaf in innermost(dataset)])
        if key in seen:
            seen[key].name += f' = {name}'
            continue
        split = seen[key] = Split(name, [open_source(leaf) for leaf in innermost(dataset)])
        splits.append(split)
    return splits


def open_source(config: dict) -> Source:
    """List the samples of one data set, missing files included; what prevents that becomes the source's `error`."""
    try:
        dataset = DATASETS.build({**config, 'lazy_init': True, 'pipeline': []})
        dataset.checks_files = False
        dataset.full_init()
        if not len(dataset):
            return Source(error='the list of samples is empty')
        first = dataset.get_data_info(0)
        if 'img_path' not in first:
            return Source(error=f'{type(dataset).__name__} gives samples without img_path: found {", ".join(first)}')
    except Exception as error:  # a data set of the user's own may fail in any way: that is a finding
        return Source(error=f'{type(error).__name__}: {error}')
    classes = tuple(map(str, dataset.metainfo.get('classes') or ()))
    images, labels = loading_steps(config.get('pipeline') or ())
    recipe = Recipe(images, labels or dict(type='LoadAnnotations'), len(classes), getattr(dataset, 'ignore_index', 255))
    return Source(recipe, dataset, _has_labels(dataset, first), classes,
                  bool(getattr(dataset, 'reduce_zero_label', False)), bool(first.get('label_map')))


def _has_labels(dataset: BaseDataset, first: dict) -> bool:
    """Whether labels are expected: a test may do without, and depth maps are none."""
    if getattr(dataset, 'test_mode', False):
        return os.path.isdir(os.path.dirname(str(first.get('seg_map_path', ''))))
    return 'seg_map_path' in first or 'seg_map_path' in getattr(dataset, 'data_prefix', {})


def loading_steps(pipeline) -> tuple[list[dict], dict | None]:
    """Return the steps of a pipeline that load images, and the one that loads labels."""
    steps = [dict(step) for step in flatten(pipeline)]
    images = [step for step in steps if step['type'].startswith('Load') and 'Annotation' not in step['type']]
    labels = [step for step in steps if step['type'] in LOADERS_OF_LABELS]
    return images[:1] or [dict(type='LoadImageFromFile')], labels[0] if labels else None


def flatten(pipeline) -> Iterator[dict]:
    """Yield each step of a pipeline, those inside of other steps too."""
    for step in pipeline:
        if isinstance(step, Mapping):
            yield step
        inner = step.get('transforms') if isinstance(step, Mapping) else step
        if isinstance(inner, (list, tuple)):
            yield from flatten(inner)


def head_classes(cfg: Mapping) -> dict[str, int]:
    """Return the `num_classes` that each head of the config's model states, by the place in the config."""
    found = {}
    for name in ('decode_head', 'auxiliary_head'):
        heads = (cfg.get('model') or {}).get(name) or ()
        several = isinstance(heads, (list, tuple))
        for index, head in enumerate(heads if several else [heads]):
            if head.get('num_classes') is not None:
                found[f'model.{name}{f"[{index}]" if several else ""}.num_classes'] = head['num_classes']
    return found


def crop_and_resize(cfg: Mapping) -> tuple[tuple[int, int] | None, dict | None]:
    """Return the crop (height, width) of the training pipeline, and the step before it that chooses a size."""
    dataset = (cfg.get('train_dataloader') or {}).get('dataset')
    steps = [step for leaf in innermost(dataset) for step in flatten(leaf.get('pipeline') or ())] if dataset else []
    resize = None
    for step in steps:
        if 'Resize' in step['type']:
            resize = dict(step)
        if 'crop_size' in step:
            size = step['crop_size']
            return ((size, size) if isinstance(size, int) else tuple(size)), resize
    size = ((cfg.get('model') or {}).get('data_preprocessor') or {}).get('size')
    return (tuple(size) if size else None), resize
