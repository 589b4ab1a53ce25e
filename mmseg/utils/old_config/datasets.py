"""Data sets and loaders of 0.x: `data=dict(samples_per_gpu=2, workers_per_gpu=2, train=…, val=…, test=…)`."""
from __future__ import annotations

from collections.abc import Mapping, Sequence

from mmseg.utils.errors import ConfigError

from .keys import DATA_KEYS, merged, refuse_unknown, renamed
from .pipelines import Prepared, translate_steps, translate_test, without_local_backend

RENAMED = {'split': 'ann_file'}
FOLDERS = {'img_dir': 'img_path', 'ann_dir': 'seg_map_path'}
META = ('classes', 'palette')
# Notes of 0.x for its own evaluation, which have no meaning now.
DROPPED = ('gt_seg_map_loader_cfg', 'separate_eval', 'custom_classes')
TYPES = {'CustomDataset': 'BaseSegDataset'}
LOADER_ORDER = ('batch_size', 'num_workers', 'persistent_workers', 'sampler')
LOADER_KEYS = {'samples_per_gpu': 'batch_size', 'workers_per_gpu': 'num_workers'}


def translate_data(data: Mapping, by_epoch: bool, whole: bool = True) -> tuple[dict[str, dict], dict[str, Prepared]]:
    """Return the loaders `train_dataloader` …, and what their pipelines leave to other parts, by split.

    Args:
        whole: add what a loader of 0.x has without saying; a leaf over a base of 1.x changes what it says alone.
    """
    refuse_unknown(data, DATA_KEYS, 'data')
    loaders, left = {}, {}
    for split in ('train', 'val', 'test'):
        loader = renamed({**_common_options(data, split), **data.get(f'{split}_dataloader', {})}, LOADER_KEYS)
        if data.get(split) is not None:
            left[split] = Prepared()
            loader['dataset'] = _any_dataset(data[split], split, f'data.{split}', left[split])
            if whole:
                _fill_up(loader, split, by_epoch)
        if loader:
            order = (*LOADER_ORDER, *(key for key in loader if key not in (*LOADER_ORDER, 'dataset')), 'dataset')
            loaders[f'{split}_dataloader'] = {key: loader[key] for key in order if key in loader}
    return loaders, left


def _fill_up(loader: dict, split: str, by_epoch: bool) -> None:
    loader['sampler'] = dict(type='DefaultSampler' if by_epoch or split != 'train' else 'InfiniteSampler',
                             shuffle=loader.pop('shuffle', split == 'train'))
    loader.setdefault('batch_size', 1)
    loader.setdefault('num_workers', 0)
    loader.setdefault('persistent_workers', loader['num_workers'] > 0)


def _common_options(data: Mapping, split: str) -> dict:
    """Options for all splits; 0.x evaluated with one image at a time, in order."""
    options = {key: value for key, value in data.items() if key not in ('train', 'val', 'test') and
               not key.endswith('_dataloader')}
    if split != 'train':
        options = {key: value for key, value in options.items() if key not in ('samples_per_gpu', 'shuffle',
                                                                               'drop_last')}
    return options


def _any_dataset(config: Mapping | Sequence, split: str, where: str, left: Prepared) -> dict:
    """Translate a data set, a list of some, or a wrapper around one."""
    if not isinstance(config, Mapping):
        return _joined([_any_dataset(one, split, f'{where}[{i}]', left) for i, one in enumerate(config)])
    result = dict(config)
    if 'datasets' in config:
        return _joined([_any_dataset(one, split, f'{where}.datasets[{i}]', left)
                        for i, one in enumerate(config['datasets'])])
    if 'dataset' in config:
        if 'pipeline' in config:
            result['pipeline'] = translate_steps(config['pipeline'], f'{where}.pipeline', left)
        result['dataset'] = _any_dataset(config['dataset'], split, f'{where}.dataset', left)
        return result
    parts = [_one_dataset(part, split, where, left) for part in _split_up(config, where)]
    return parts[0] if len(parts) == 1 else _joined(parts)


def _joined(datasets: list[dict]) -> dict:
    return dict(type='ConcatDataset', datasets=datasets)


def _split_up(config: Mapping, where: str) -> list[dict]:
    """Resolve lists in `img_dir`, `ann_dir` and `split`: one data set for each, those that are no lists shared."""
    lists = {key: value for key in (*FOLDERS, 'split')
             if isinstance(value := config.get(key), Sequence) and not isinstance(value, str)}
    lengths = {len(value) for value in lists.values()}
    if len(lengths) > 1:
        found = ', '.join(f'{len(value)} in {key}' for key, value in lists.items())
        raise ConfigError(f'{where}: lists of one length are expected, found {found}')
    return [{**config, **{key: value[i] for key, value in lists.items()}} for i in range(max(lengths, default=1))]


def _one_dataset(config: Mapping, split: str, where: str, left: Prepared) -> dict:
    folders = {new: config[old] for old, new in FOLDERS.items() if config.get(old) is not None}
    meta = {key: config[key] for key in META if config.get(key) is not None}
    plain = {key: value for key, value in config.items() if value is not None or key == 'data_root'}
    result = without_local_backend(renamed({key: value for key, value in plain.items()
                                            if key not in (*FOLDERS, *META, *DROPPED, 'pipeline')}, RENAMED))
    if 'type' in result:
        result['type'] = TYPES.get(result['type'], result['type'])
    result.update({key: value for key, value in (('data_prefix', folders), ('metainfo', meta)) if value})
    if 'pipeline' in config:
        result['pipeline'] = _pipeline(config, split, f'{where}.pipeline', left)
    if left.reduce_zero_label is not None:
        result.setdefault('reduce_zero_label', left.reduce_zero_label)
    return result


def _pipeline(config: Mapping, split: str, where: str, left: Prepared) -> list[dict]:
    steps = config['pipeline']
    if split == 'train':
        return translate_steps(steps, where, left)
    loading = merged(dict(type='LoadAnnotations'), config.get('gt_seg_map_loader_cfg') or {})
    reduce_zero_label = loading.pop('reduce_zero_label', None)
    pipeline, prepared = translate_test(steps, without_local_backend(loading) if config.get('ann_dir') else None, where)
    left.preprocessor, left.tta = prepared.preprocessor, prepared.tta
    if reduce_zero_label is not None:
        left.reduce_zero_label = reduce_zero_label
    return pipeline
