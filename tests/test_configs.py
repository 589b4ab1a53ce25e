"""Every config resolves to the published values, quickly, in at most three steps, and repeats no other.

`data/config_digests.json` holds one digest for each part of each published config. A value that changes on purpose
needs a new one: `python tests/test_configs.py` writes the file anew.
"""
import ast
import hashlib
import json
import statistics
import time
from functools import cache
from pathlib import Path

import pytest
from mmengine.config import Config

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
DIGESTS = Path(__file__).parent / 'data' / 'config_digests.json'
BASES = sorted((CONFIGS / '_base_').rglob('*.py'))
LEAVES = sorted(path for path in CONFIGS.glob('*/*.py') if path.parent.name != '_base_')
FOLDERS = sorted({path.parent.name for path in LEAVES})
PARTS = {
    'model': ('model',),
    'data': ('train_dataloader', 'val_dataloader', 'test_dataloader', 'val_evaluator', 'test_evaluator',
             'tta_pipeline'),
    'run': ('optim_wrapper', 'param_scheduler', 'train_cfg', 'val_cfg', 'test_cfg', 'default_hooks', 'default_scope',
            'env_cfg', 'visualizer', 'log_processor', 'tta_model', 'randomness', 'auto_scale_lr'),
}


@cache
def load(path):
    """The resolved config and the CPU seconds that took."""
    start = time.process_time()
    config = Config.fromfile(path, format_python_code=False)
    return config, time.process_time() - start


def digests(path):
    """One short hash for each of the PARTS, separated by blanks."""
    config = load(path)[0].to_dict()
    texts = (json.dumps({field: config.get(field) for field in fields}, sort_keys=True) for fields in PARTS.values())
    return ' '.join(hashlib.blake2b(text.encode(), digest_size=4).hexdigest() for text in texts)


def published():
    return json.loads(DIGESTS.read_text())


@cache
def bases(path):
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == '_base_':
            names = ast.literal_eval(node.value)
            return [(path.parent / name).resolve() for name in ([names] if isinstance(names, str) else names)]
    return []


@cache
def levels(path):
    return 1 + max(map(levels, bases(path))) if bases(path) else 0


def dicts_in(value):
    """Every dictionary in nested dictionaries and lists."""
    if isinstance(value, dict):
        yield value
    for item in (value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()):
        yield from dicts_in(item)


@pytest.mark.parametrize('folder', FOLDERS)
def test_resolves_to_the_published_values(folder):
    drifted = []
    for name, expected in published().get(folder, {}).items():
        found = digests(CONFIGS / folder / f'{name}.py')
        parts = [part for part, ours, theirs in zip(PARTS, found.split(), expected.split()) if ours != theirs]
        drifted += [f'{folder}/{name}: {", ".join(parts)}'] if parts else []
    assert drifted == []


def test_published_are_all_there():
    names = {f'{folder}/{name}' for folder, entries in published().items() for name in entries}
    assert len(names) == 681
    assert sorted(names - {f'{path.parent.name}/{path.stem}' for path in LEAVES}) == []


@pytest.mark.parametrize('folder', FOLDERS)
def test_leaf_parses_in_a_second(folder):
    slow = {path.name: seconds for path in LEAVES if path.parent.name == folder and (seconds := load(path)[1]) >= 1}
    assert slow == {}


def test_at_most_three_levels():
    assert [path.name for path in LEAVES if levels(path) > 3] == []
    assert max(map(levels, LEAVES)) == 3


def test_leaves_are_short():
    texts = {path: path.read_text() for path in LEAVES + BASES}
    assert statistics.median(len(texts[path].splitlines()) for path in LEAVES) <= 12
    assert [path.name for path, text in texts.items() if max(map(len, text.splitlines())) > 120] == []
    assert [path.name for path, text in texts.items() if '"' in text] == []  # single quotes throughout


def test_no_two_leaves_are_identical():
    first, twins = {}, []
    for path in LEAVES:
        text = path.read_text()
        if text in first:
            twins.append((first[text].name, path.name))
        first.setdefault(text, path)
    assert twins == []


@pytest.mark.parametrize('folder', FOLDERS)
def test_pretty_text_round_trips(folder):
    config = load(next(path for path in LEAVES if path.parent.name == folder))[0]
    assert Config.fromstring(config.pretty_text, '.py').to_dict() == config.to_dict()


@pytest.mark.parametrize('path', BASES, ids=lambda path: path.stem)
def test_base_stands_for_itself(path):
    config = load(path)[0]
    if path.parent.name == 'models':
        assert config.model.type.endswith(('Decoder', 'Estimator')) and config.model.data_preprocessor.mean
    elif path.parent.name == 'schedules':
        assert config.param_scheduler[-1].end == config.train_cfg.max_iters
        assert config.train_cfg.max_iters == 1000 * int(path.stem.split('_')[1].rstrip('k'))
    elif path.parent.name == 'datasets':
        loaders = [config[f'{split}_dataloader'] for split in ('train', 'val', 'test')]
        assert [loader.sampler.type for loader in loaders] == ['InfiniteSampler', 'DefaultSampler', 'DefaultSampler']
        assert config.val_evaluator.type in ('IoUMetric', 'DepthMetric')


@pytest.mark.parametrize('folder', FOLDERS)
def test_heads_predict_the_classes_of_the_data(folder):
    from mmseg.registry import DATASETS
    for path in (path for path in LEAVES if path.parent.name == folder):
        config = load(path)[0]
        data = config.val_dataloader.dataset
        classes = data.get('metainfo', DATASETS.get(data.type).METAINFO).get('classes')
        heads = [head for name in ('decode_head', 'auxiliary_head') for head in dicts_in(config.model.get(name))]
        counts = {head['num_classes'] for head in heads if head.get('num_classes') and head['type'] != 'STDCHead'}
        if classes and counts and data.type != 'NYUDataset':  # depths have no classes
            assert counts == {len(classes)}, path.name


if __name__ == '__main__':
    table = {folder: {name: digests(CONFIGS / folder / f'{name}.py') for name in names}
             for folder, names in published().items()}
    DIGESTS.write_text(json.dumps(table, indent=0) + '\n')
