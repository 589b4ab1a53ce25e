"""Weights that others published, renamed for the modules of this library: read safely, checked, written whole or not.

A converter is a :class:`Layout`: a table of renamings and the module that the result must fill.
"""
from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg.registry import MODELS
from mmseg.utils.checkpoint import CheckpointError, read_checkpoint, weights_of, write_checkpoint

Weights = dict[str, Tensor]
Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Layout:
    """How a published file names its weights, and what they are the weights of.

    Args:
        origin: whose layout it is, for messages.
        target: takes the renamed weights to the config of the module that they must fill. It shall return some config
            whatever it gets, since it also judges files of another origin.
        renames: pairs (pattern, replacement), applied to every key one after another with :func:`re.sub`.
        left_out: patterns, matched at the start of the file's keys, of what the module has no place for.
        adapt: what names alone do not settle: takes the renamed weights and the shapes of the module's to new weights.
    """

    origin: str
    target: Callable[[Weights], dict]
    renames: Sequence[tuple[str, str]] = ()
    left_out: Sequence[str] = ()
    adapt: Callable[[Weights, Shapes], Weights] | None = None


@dataclass(frozen=True)
class Converted:
    """What became of a file."""

    weights: Weights
    target: dict
    left_out: list[str]


def convert_file(source: str | os.PathLike, destination: str | os.PathLike, layout: Layout) -> Converted:
    """Write the weights of `source` as a checkpoint for `layout.target`.

    Raises:
        CheckpointError: the file cannot be read, or its weights are not all of those that the target has; nothing is
            written.
    """
    converted = convert(read_weights(source), layout, name=os.fspath(source))
    write_checkpoint(dict(state_dict=converted.weights, meta=dict(converted_from=Path(source).name)), destination)
    return converted


def read_weights(path: str | os.PathLike) -> Weights:
    """Read tensors by name from a checkpoint of PyTorch, `.safetensors` or `.npz`; nothing of the file is run."""
    if Path(path).suffix == '.npz' and Path(path).is_file():
        weights = _read_npz(path)
    else:
        weights = dict(weights_of(read_checkpoint(path)))
    others = [str(key) for key, value in weights.items() if not isinstance(value, Tensor)]
    if others or not weights:
        raise CheckpointError(f'{path} holds no weights by name' + (f', but {_listed(others)}' if others else ''))
    return weights


def _read_npz(path: str | os.PathLike) -> Weights:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {key: torch.from_numpy(arrays[key]) for key in arrays.files}
    except Exception as error:  # a damaged archive can fail in any way
        raise CheckpointError(f'{path} cannot be read as arrays of NumPy ({type(error).__name__}: {error})') from error


def convert(weights: Weights, layout: Layout, name: str = 'the file') -> Converted:
    """Rename and adapt weights, and check that they fill the target.

    Raises:
        CheckpointError: some have no place in it, or do not fit, or some of its weights are not among them.
    """
    left_out = [key for key in weights if any(re.match(pattern, key) for pattern in layout.left_out)]
    original = _renamed([key for key in weights if key not in left_out], layout, name)
    renamed = {new: weights[old] for new, old in original.items()}
    target = layout.target(renamed)
    shapes = _shapes_of(target)
    unknown = [original[key] for key in renamed if key not in shapes]
    adapted = renamed if unknown or layout.adapt is None else layout.adapt(renamed, shapes)
    missing = [key for key in shapes if key not in adapted and not key.endswith('num_batches_tracked')]
    misfits = [f'{original.get(key, key)} {list(value.shape)} where {key} has {list(shapes[key])}'
               for key, value in adapted.items() if key in shapes and tuple(value.shape) != shapes[key]]
    problems = [f'{len(found)} {what}: {_listed(found)}' for found, what in (
        (unknown, 'of its weights are not known'), (missing, 'are missing'), (misfits, 'have another shape')) if found]
    if problems:
        raise CheckpointError(f'{name} does not hold the weights of {layout.origin} for {target["type"]}: '
                              + '; '.join(problems))
    return Converted({key: value.contiguous() for key, value in adapted.items()}, target, left_out)


def _renamed(keys: Sequence[str], layout: Layout, name: str) -> dict[str, str]:
    """Return new keys with the old ones."""
    original = {}
    for key in keys:
        new = key
        for pattern, replacement in layout.renames:
            new = re.sub(pattern, replacement, new)
        if new in original:
            raise CheckpointError(f'{name} does not hold the weights of {layout.origin}: {original[new]} and {key} '
                                  f'would both become {new}')
        original[new] = key
    return original


def _shapes_of(config: dict) -> Shapes:
    with torch.device('meta'):
        module = MODELS.build(config)
    return {key: tuple(value.shape) for key, value in module.state_dict().items()}


def _listed(keys: Sequence[str], most: int = 20) -> str:
    return ', '.join(keys[:most]) + (f' and {len(keys) - most} more' if len(keys) > most else '')


def count(weights: Mapping[str, Tensor], pattern: str) -> int:
    """How many modules of a list there are, from keys that begin with `pattern`, whose group is the index."""
    found = [int(match[1]) for match in (re.match(pattern, key) for key in weights) if match]
    return max(found, default=-1) + 1


def size_of(weights: Mapping[str, Tensor], key: str, dim: int = 0, default: int = 1) -> int:
    """The size of a weight, or `default` where there is no such weight."""
    return weights[key].shape[dim] if key in weights and weights[key].dim() > dim else default


def zero_padded(weight: Tensor, shape: Sequence[int]) -> Tensor:
    """Enlarge a weight with zeros that change nothing: channels behind those there are, kernels all around.

    A weight that is larger than `shape` in some dimension stays as it is.
    """
    more = [wanted - size for size, wanted in zip(weight.shape, shape)]
    if len(shape) != weight.dim() or min(more, default=0) < 0:
        return weight
    borders = [(n // 2, n - n // 2) if dim >= 2 else (0, n) for dim, n in enumerate(more)]
    return F.pad(weight, [n for pair in reversed(borders) for n in pair])
