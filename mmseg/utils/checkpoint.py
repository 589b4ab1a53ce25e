"""Checkpoints: read without running anything that the file asks for, matched against the model, written whole or not.

Importing this module makes every loader of mmengine read in the same safe way.
"""
from __future__ import annotations

import argparse
import datetime
import difflib
import functools
import io
import json
import logging
import os
import pathlib
import pickle
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlparse

import numpy as np
import torch
from mmengine.dist import barrier, get_rank
from mmengine.fileio import get_file_backend
from mmengine.logging import HistoryBuffer, print_log
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import (
    CheckpointLoader,
    get_deprecated_model_names,
    get_external_models,
    get_mmcls_models,
    get_torchvision_models,
)
from torch import nn

from mmseg.utils.atomic import replace_file
from mmseg.utils.download import cache_folder, download
from mmseg.utils.errors import CheckpointError

MapLocation = str | torch.device | Callable | None
STRIP_WRAPPER = ((r'^module\.', ''),)


# ---------------------------------------------------------------------------------------------------------- reading

def _history_statistic(owner: object, name: str) -> Callable:
    """Stand for `getattr` in a pickle: mmengine's histories name their own statistics with it, and nothing else may."""
    if owner is HistoryBuffer and not name.startswith('_'):
        return getattr(HistoryBuffer, name)
    raise pickle.UnpicklingError(f'GLOBAL builtins.getattr of {owner!r}')


def _default_dict(factory: object = None, *items: Mapping) -> OrderedDict:
    return OrderedDict(*items)


def _plain_list(items: Sequence = (), maxlen: int | None = None) -> list:
    return list(items)


@functools.cache
def _harmless_types() -> list:
    """Types beyond tensors that ordinary checkpoints hold: plain values, NumPy's, mmengine's histories.

    Where a pickle names a class that only groups values (a config, a default dictionary, a path of another system), a
    plain class of Python stands in for it; so not even that class's own code runs.
    """
    array_builder = np.empty(0).__reduce__()[0]
    scalar_builder = np.float64(0).__reduce__()[0]
    dtypes = {type(np.dtype(code)) for code in np.typecodes['All']}
    groups_of_values = ('mmengine.config.config.ConfigDict', 'mmcv.utils.config.ConfigDict', 'addict.addict.Dict',
                        'addict.Dict', 'yacs.config.CfgNode', 'easydict.EasyDict')
    return [
        HistoryBuffer, (_history_statistic, 'builtins.getattr'),
        np.ndarray, np.dtype, *dtypes,
        *((builder, f'numpy.{core}.multiarray.{builder.__name__}')
          for core in ('core', '_core') for builder in (array_builder, scalar_builder)),
        bool, int, float, str, list, tuple, dict, set, frozenset, slice, range, complex, bytearray,
        datetime.datetime, datetime.date, datetime.time, datetime.timedelta, datetime.timezone,
        *((getattr(pathlib, f'Pure{system}Path'), f'{module}.{pure}{system}Path')
          for module in ('pathlib', 'pathlib._local') for pure in ('', 'Pure') for system in ('Posix', 'Windows')),
        argparse.Namespace,
        *((OrderedDict, name) for name in groups_of_values),
        (_default_dict, 'collections.defaultdict'), (_plain_list, 'collections.deque'),
    ]


def load_safely(file: str | io.BufferedIOBase, name: str, map_location: MapLocation = 'cpu') -> dict:
    """Read what `torch.save` wrote, building tensors and harmless types only.

    Weights under the key `model` stand under `state_dict` too, where mmengine looks for them.

    Args:
        file: a path or an open file.
        name: how messages call it.

    Raises:
        CheckpointError: it asks for anything else (nothing of it has run), or it is damaged.
    """
    try:
        with torch.serialization.safe_globals(_harmless_types()):
            checkpoint = torch.load(file, map_location=map_location or 'cpu', weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(_why_refused(name, str(error))) from None
    except Exception as error:  # a damaged pickle can fail in any way
        reason = str(error).partition('\n')[0]
        raise CheckpointError(f'{name} cannot be read as a checkpoint: it is damaged, incomplete or something else '
                              f'({type(error).__name__}: {reason}); fetch or save it again') from error
    if not isinstance(checkpoint, Mapping):
        raise CheckpointError(f'{name} holds a {type(checkpoint).__name__}: a checkpoint is a dictionary of weights')
    if 'state_dict' not in checkpoint and isinstance(checkpoint.get('model'), Mapping):
        checkpoint['state_dict'] = checkpoint['model']
    return checkpoint


def _why_refused(name: str, reason: str) -> str:
    found = re.search(r'GLOBAL ([\w.]+)', reason) or re.search(r'(?:function|got) (<.+?>|[\w.]+)', reason)
    if found is None:
        return (f'{name} is refused: it is pickled in a way that cannot be read safely; '
                'where you trust it, read it with the program that wrote it and save its weights alone with torch.save')
    return (f'{name} is refused: it asks for {found[1]}, which is no part of a checkpoint and could run any code. '
            'Nothing of it has run. Get the file from a source that you trust, as weights alone; a class of your own '
            'that you know to be harmless can be allowed with torch.serialization.add_safe_globals([...])')


@CheckpointLoader.register_scheme(prefixes='', force=True)
def load_from_local(filename: str, map_location: MapLocation = None) -> dict:
    """Read a checkpoint file: of PyTorch, old or new, or `.safetensors`."""
    path = Path(filename).expanduser()
    if not path.is_file():
        raise CheckpointError(_no_such_file(path))
    if path.suffix != '.safetensors':
        return load_safely(str(path), str(path), map_location)
    try:
        from safetensors import safe_open
    except ImportError:
        raise CheckpointError(f'{path} needs the package safetensors: pip install safetensors') from None
    device = map_location if isinstance(map_location, str | torch.device) else 'cpu'
    with safe_open(path, 'pt', device=str(device)) as file:
        meta = json.loads((file.metadata() or {}).get('meta', '{}'))  # as `mmseg publish-model` writes it
        return {'state_dict': OrderedDict((key, file.get_tensor(key)) for key in list(file.keys())), 'meta': meta}


def _no_such_file(path: Path) -> str:
    if not path.parent.is_dir():
        return f'no checkpoint {path}: there is no folder {path.parent}'
    here = sorted(file.name for file in path.parent.iterdir() if file.suffix in ('.pth', '.pt', '.safetensors'))
    near = difflib.get_close_matches(path.name, here, n=3, cutoff=0.4) or here[:3]
    return f'no checkpoint {path}: ' + (f'the folder holds {", ".join(near)}' if near else 'the folder holds none')


@CheckpointLoader.register_scheme(prefixes=('http://', 'https://'), force=True)
def load_from_http(filename: str, map_location: MapLocation = None) -> dict:
    """Download a checkpoint once (see :mod:`mmseg.utils.download`) and read it."""
    path = cache_folder() / Path(urlparse(filename).path).name
    try:
        if get_rank() == 0 or os.environ.get('LOCAL_RANK') == '0':
            download(filename, path)
    finally:
        barrier()  # a process whose download failed must not leave the others waiting
    if not path.is_file():
        raise CheckpointError(f'{filename} was not downloaded to {path}, as another process of this run reports')
    return load_from_local(str(path), map_location)


@CheckpointLoader.register_scheme(prefixes=('modelzoo://', 'torchvision://'), force=True)
def load_from_torchvision(filename: str, map_location: MapLocation = None) -> dict:
    """Read weights that torchvision publishes: `torchvision://resnet50`."""
    return load_from_http(_published(filename, get_torchvision_models()), map_location)


@CheckpointLoader.register_scheme(prefixes=('open-mmlab://', 'openmmlab://'), force=True)
def load_from_openmmlab(filename: str, map_location: MapLocation = None) -> dict:
    """Read weights by the name that OpenMMLab gave them: `open-mmlab://resnet50_v1c`."""
    models = get_external_models()
    renamed = {old: models[new] for old, new in get_deprecated_model_names().items() if new in models}
    address = _published(filename, {**renamed, **models})
    if address.startswith(('http://', 'https://')):
        return load_from_http(address, map_location)
    home = os.environ.get('MMENGINE_HOME') or Path(os.environ.get('XDG_CACHE_HOME', '~/.cache'), 'mmengine')
    return load_from_local(str(Path(home, address)), map_location)


@CheckpointLoader.register_scheme(prefixes='mmcls://', force=True)
def load_from_mmcls(filename: str, map_location: MapLocation = None) -> dict:
    """Read the backbone of a published classifier: `mmcls://mobilenet_v2`."""
    checkpoint = load_from_http(_published(filename, get_mmcls_models()), map_location)
    return {'state_dict': OrderedDict((key.removeprefix('backbone.'), value)
                                      for key, value in weights_of(checkpoint).items() if key.startswith('backbone.'))}


def _published(filename: str, addresses: Mapping[str, str]) -> str:
    name = filename.partition('://')[2]
    if name not in addresses:
        near = difflib.get_close_matches(name, addresses, n=3) or list(addresses)[:3]
        raise CheckpointError(f'{filename}: no weights of that name; there are {", ".join(near)} …')
    return addresses[name]


@CheckpointLoader.register_scheme(prefixes=(r'(\S+\:)?s3://', r'(\S+\:)?petrel://'), force=True)
def load_from_ceph(filename: str, map_location: MapLocation = None) -> dict:
    """Read a checkpoint out of an object store, through mmengine's backend for it."""
    with io.BytesIO(get_file_backend(filename, backend_args={'backend': 'petrel'}).get(filename)) as content:
        return load_safely(content, filename, map_location)


def read_checkpoint(path: str | os.PathLike, map_location: MapLocation = 'cpu') -> dict:
    """Read a checkpoint from a file, a URL or a published name, as it stands in the file.

    Raises:
        CheckpointError: there is none, it is damaged, or it asks for more than tensors and plain values.
    """
    return CheckpointLoader.load_checkpoint(os.fspath(path), map_location)


# --------------------------------------------------------------------------------------------------------- matching

def weights_of(checkpoint: Mapping, revise_keys: Sequence[tuple[str, str]] = STRIP_WRAPPER) -> OrderedDict:
    """Return the weights of a checkpoint, of whatever layout, their keys rewritten by pairs (pattern, replacement)."""
    state = checkpoint.get('state_dict', checkpoint.get('model', checkpoint))
    revised = OrderedDict()
    for key, value in state.items():
        for pattern, replacement in revise_keys:
            key = re.sub(pattern, replacement, key)
        revised[key] = value
    revised._metadata = getattr(state, '_metadata', OrderedDict())  # versions, which modules' loading hooks ask for
    return revised


def unwrap(model: nn.Module) -> nn.Module:
    """Return the model inside wrappers for several processes or for test-time augmentation."""
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model


def load_weights(model: nn.Module, checkpoint: Mapping | str | os.PathLike, *, map_location: MapLocation = 'cpu',
                 strict: bool = False, fine_tune: bool = False, name: str | None = None,
                 revise_keys: Sequence[tuple[str, str]] = STRIP_WRAPPER) -> dict:
    """Load the weights of a checkpoint into a model and return the checkpoint.

    Weights that the model does not have are named in a warning: many configs drop the auxiliary head for inference.

    Args:
        checkpoint: a path or URL, or what :func:`read_checkpoint` returned.
        strict: weights that the model does not have are an error too.
        fine_tune: the weights are where a training begins: those that fit are taken and the others keep their initial
            values; it is an error only if half of them, or a tenth of the backbone's, find nothing in the checkpoint.
        name: how messages call it; by default its path.
        revise_keys: pairs (pattern, replacement) for the checkpoint's keys.

    Raises:
        CheckpointError: the checkpoint belongs to another model; the message counts and names what differs.
    """
    if not isinstance(checkpoint, Mapping):
        name = name or os.fspath(checkpoint)
        checkpoint = read_checkpoint(checkpoint, map_location)
    model = unwrap(model)
    mismatch = _load_fitting(model, weights_of(checkpoint, revise_keys))
    if not mismatch:
        return checkpoint
    if mismatch.is_error(strict, fine_tune):
        raise CheckpointError(mismatch.describe(name or 'the checkpoint', type(model).__name__, fine_tune))
    print_log(mismatch.describe(name or 'the checkpoint', type(model).__name__, advise=False),
              logger='current', level=logging.WARNING)
    return checkpoint


class _Mismatch:
    """How the weights of a checkpoint differ from those of a model."""

    def __init__(self, model: nn.Module, missing: list[str], unexpected: list[str],
                 shapes: dict[str, tuple[tuple, tuple]]):
        statistics = ('running_mean', 'running_var')
        self.keys = {name for name, _ in model.named_parameters()}
        self.keys.update(name for name, _ in model.named_buffers() if name.endswith(statistics))
        self.missing = [key for key in missing if key in self.keys and key not in shapes]
        self.unexpected = unexpected
        self.shapes = shapes

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected or self.shapes)

    def is_error(self, strict: bool, fine_tune: bool) -> bool:
        absent = {*self.missing, *self.shapes}
        if not fine_tune:
            return bool(absent) or strict and bool(self.unexpected)
        backbone = [key for key in self.keys if key.startswith('backbone.')]
        return 2 * len(absent) > len(self.keys) or 10 * len(absent.intersection(backbone)) > len(backbone) > 0

    def describe(self, name: str, model: str, fine_tune: bool = False, advise: bool = True) -> str:
        parts = [f'{len(keys)} {what}: {_first(keys)}' for keys, what in (
            (self.missing, 'missing'), (self.unexpected, 'that the model does not have'),
            ([f'{key} {list(theirs)} where the model has {list(ours)}' for key, (theirs, ours) in self.shapes.items()],
             'of another shape')) if keys]
        text = f'{name} does not match {model}, which has {len(self.keys)} weights: ' + '; '.join(parts)
        return f'{text}. {self._advice(fine_tune)}' if advise else text

    def _advice(self, fine_tune: bool) -> str:
        classes = {(theirs[0], ours[0]) for theirs, ours in self.shapes.values() if theirs[1:] == ours[1:]}
        heads = {key.partition('.')[0] for key in self.shapes}
        if len(classes) == 1 and not self.missing and 'backbone' not in heads:
            theirs, ours = classes.pop()
            return (f'All else fits: it was trained for {theirs} classes and the model has {ours} in {_first(heads)}. '
                    f'For inference set num_classes={theirs}; to fine-tune, name it as `load_from` of the training '
                    'config (or give fine_tune=True), which keeps the new classifier')
        if fine_tune:
            return 'Too little of it fits to start from: give the checkpoint of a model with the same backbone'
        return 'Give the config that it was trained with, or rename its keys with `revise_keys`'


def _first(keys, count: int = 3) -> str:
    keys = sorted(keys)
    return ', '.join(keys[:count]) + (' …' if len(keys) > count else '')


def _load_fitting(model: nn.Module, state: OrderedDict) -> _Mismatch:
    """Load every weight that fits, through the loading hooks of the modules, and say which do not."""
    own = model.state_dict()
    shapes = {}
    try:
        result = model.load_state_dict(state, strict=False)
    except RuntimeError as error:  # raised for shapes alone, once all that fits is loaded
        shapes = {key: (tuple(state[key].shape), tuple(own[key].shape))
                  for key in re.findall(r'size mismatch for (\S+):', str(error)) if key in state}
        if not shapes:
            raise
        for key in shapes:
            del state[key]
        result = model.load_state_dict(state, strict=False)
    return _Mismatch(model, list(result.missing_keys), list(result.unexpected_keys), shapes)


# ---------------------------------------------------------------------------------------------------------- writing

def write_checkpoint(checkpoint: dict, path: str | os.PathLike) -> None:
    """Write a checkpoint so that at any moment, whatever happens, `path` is the old file or the whole new one.

    Raises:
        DiskFullError: there is no room; the message says how many bytes it takes.
    """
    replace_file(path, lambda file: torch.save(checkpoint, file))
    asked = set(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    harmless = (*_harmless_types(), *torch.serialization.get_safe_globals())
    asked -= {item[1] if isinstance(item, tuple) else f'{item.__module__}.{item.__qualname__}' for item in harmless}
    if asked:
        print_log(f'{path} holds objects of {_first(asked)}, for which it will be refused on loading: have the hook '
                  'that stores them store plain values', logger='current', level=logging.WARNING)
