"""Weights that others published, renamed for the modules of this library: read safely, checked, written whole or not.

>>> convert_file('cgnet_camvid_trainval_800e.pth', 'cgnet_camvid.pth', layout)  # a Layout, see `weight_layout`
"""
from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg.registry import MODELS
from mmseg.utils.checkpoint import CheckpointError, read_checkpoint, weights_of, write_checkpoint
from mmseg.utils.torchscript import is_torchscript, read_torchscript
from mmseg.utils.weight_layout import Layout, Shapes, Weights


@dataclass(frozen=True)
class Converted:
    """Weights that fill the module of the config `target`, and the keys of the file that have no place there."""

    weights: Weights
    target: dict
    left_out: list[str]


def convert_file(source: str | os.PathLike, destination: str | os.PathLike, layout: Layout) -> Converted:
    """Write the weights of a published file as a checkpoint.

    Raises:
        CheckpointError: the file cannot be read, or its weights are not all of those that the target has. Nothing is
            written.
    """
    converted = convert(read_weights(source), layout, name=os.fspath(source))
    write_checkpoint(dict(state_dict=converted.weights, meta=dict(converted_from=Path(source).name)), destination)
    return converted


def read_weights(path: str | os.PathLike) -> Weights:
    """Read tensors by name from PyTorch's checkpoints, TorchScript, `.safetensors` or `.npz`; nothing of it is run."""
    if Path(path).suffix == '.npz' and Path(path).is_file():
        return _read_npz(path)
    if is_torchscript(path):
        return read_torchscript(path)
    checkpoint = read_checkpoint(path)
    state = checkpoint.get('state_dict', checkpoint)
    if not isinstance(state, dict) or not all(isinstance(key, str) and isinstance(state[key], Tensor) for key in state):
        raise CheckpointError(f'{path} holds no weights by name, but {listed([str(key) for key in checkpoint])}')
    return dict(weights_of(checkpoint))


def _read_npz(path: str | os.PathLike) -> Weights:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {key: torch.from_numpy(arrays[key]) for key in arrays.files}
    except Exception as error:  # a damaged archive can fail in any way
        raise CheckpointError(f'{path} cannot be read as arrays of NumPy ({type(error).__name__}: {error})') from error


def convert(weights: Weights, layout: Layout, name: str = 'the file') -> Converted:
    """Rename and adapt weights, and check that they fill the target.

    Raises:
        CheckpointError: some are not known, do not fit, or are missing; the message names them.
    """
    left_out = [key for key in weights if any(re.match(pattern, key) for pattern in layout.left_out)]
    original = _renamed({key: weights[key] for key in weights if key not in left_out}, layout, name)
    adapted = _joined({new: weights[old] for new, old in original.items()}, name)
    target = layout.target(adapted)
    try:
        shapes = _shapes_of(target)
    except ValueError as error:  # of numbers that were read off weights of another origin
        raise CheckpointError(f'{name} does not hold the weights of {layout.origin}: {error}') from error
    unknown = [old for new, old in original.items() if new.partition('#')[0] not in shapes]
    if layout.adapt is not None and not unknown:
        adapted = layout.adapt(adapted, shapes)
    missing = [key for key in shapes if key not in adapted and not key.endswith('num_batches_tracked')
               and not any(re.match(pattern, key) for pattern in layout.not_there)]
    misfits = [f'{original.get(key, key)} {list(value.shape)} for {list(shapes[key])} of {key}'
               for key, value in adapted.items() if key in shapes and tuple(value.shape) != shapes[key]]
    problems = [f'{len(keys)} {what}: {listed(keys)}' for keys, what in (
        (unknown, 'of its weights are not known'), (missing, 'are missing'), (misfits, 'have another shape')) if keys]
    if problems:
        raise CheckpointError(f'{name} does not hold the weights of {layout.origin}, of which a {target["type"]} is '
                              f'made: {"; ".join(problems)}')
    return Converted({key: value.contiguous() for key, value in adapted.items()}, target, left_out)


def _renamed(weights: Weights, layout: Layout, name: str) -> dict[str, str]:
    """Map the new keys to those of the file."""
    renames = layout.renames(weights) if callable(layout.renames) else layout.renames
    original = {}
    for key in weights:
        new = key
        for pattern, replacement in renames:
            new = re.sub(pattern, replacement, new)
        if new in original:
            raise CheckpointError(f'{name} does not hold the weights of {layout.origin}: {original[new]} and {key} '
                                  f'would both become {new}')
        original[new] = key
    return original


def _joined(weights: Weights, name: str) -> Weights:
    """Put `KEY#0`, `KEY#1`, … together, one behind the other, as the one weight `KEY`."""
    parts = {}
    for key in sorted(weights, key=lambda key: int(key.partition('#')[2] or 0)):
        parts.setdefault(key.partition('#')[0], []).append(weights[key])
    for key, tensors in parts.items():
        shapes = [list(tensor.shape) for tensor in tensors]
        if len(shapes) > 1 and not (all(shapes) and all(shape[1:] == shapes[0][1:] for shape in shapes)):
            raise CheckpointError(f'{name} has parts of {key} that cannot be joined, of the shapes {shapes}')
    return {key: torch.cat(tensors) if len(tensors) > 1 else tensors[0] for key, tensors in parts.items()}


def _shapes_of(config: dict) -> Shapes:
    with torch.device('meta'):
        module = MODELS.build(config)
    return {key: tuple(value.shape) for key, value in module.state_dict().items()}


def listed(keys: Sequence[str], most: int = 20) -> str:
    """Name the first keys, and say how many more there are."""
    return ', '.join(keys[:most]) + (f' and {len(keys) - most} more' if len(keys) > most else '')


def zero_padded(weight: Tensor, shape: Sequence[int]) -> Tensor:
    """Enlarge a weight by zeros that change nothing: channels behind those that there are, kernels on all sides.

    A weight that exceeds `shape` somewhere stays as it is.
    """
    more = [wanted - size for size, wanted in zip(weight.shape, shape)]
    if len(shape) != weight.dim() or min(more, default=0) < 0:
        return weight
    borders = [(n // 2, n - n // 2) if dim >= 2 else (0, n) for dim, n in enumerate(more)]
    return F.pad(weight, [n for pair in reversed(borders) for n in pair])


def with_new_norms(weights: Weights, shapes: Shapes, pattern: str) -> Weights:
    """Add the norms, of names that begin as `pattern`, that a file lacks since a classifier has none there.

    They leave their channels as they are, which is also how they start without a file.
    """
    new = {key: torch.full(shape, float(key.endswith('.weight'))) for key, shape in shapes.items()
           if re.match(pattern, key)}
    return {**new, **weights}
