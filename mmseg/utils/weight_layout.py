"""How others name the weights that they publish. Light to import: the converting itself is in `convert`."""
from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

Weights = dict[str, 'Tensor']
Renames = Sequence[tuple[str, str | Callable[[re.Match], str]]]
Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Layout:
    """The names in a published file, and the module of this library that its weights shall fill.

    Args:
        origin: whose layout it is, for messages.
        target: takes the renamed weights to the config of the module. It shall return some config whatever it gets,
            since it also judges files of another origin.
        renames: pairs (pattern, replacement or function of the match), applied to every key one after another with
            :func:`re.sub`; or a function that takes the weights of the file to such pairs.
            Weights that become `KEY#0`, `KEY#1`, … are one after the other the rows of the weight `KEY`.
        left_out: patterns, matched at the start of the file's keys, of what the module has no place for.
        adapt: what names alone do not settle: takes the renamed weights, of keys that the module has, and the shapes of
            its own to new weights.
        not_there: patterns, matched at the start of the module's keys, of what the file says nothing about.
    """

    origin: str
    target: Callable[[Weights], dict]
    renames: Renames | Callable[[Weights], Renames] = ()
    left_out: Sequence[str] = ()
    adapt: Callable[[Weights, Shapes], Weights] | None = None
    not_there: Sequence[str] = ()


# Names that the first implementations of many transformers share, and ours.
MLP = ((r'\.mlp\.fc1\.', '.ffn.layers.0.0.'), (r'\.mlp\.fc2\.', '.ffn.layers.1.'))
SPLIT_ATTENTION = ((r'\.attn\.q\.(\w+)$', r'.attn.attn.in_proj_\1#0'),
                   (r'\.attn\.kv\.(\w+)$', r'.attn.attn.in_proj_\1#1'))


def count(weights: Mapping[str, Tensor], pattern: str, default: int) -> int:
    """How many modules a list has, by the keys that begin with `pattern`, whose group is the index."""
    found = [int(match[1]) + 1 for match in (re.match(pattern, key) for key in weights) if match]
    return max(found, default=default)


def size_of(weights: Mapping[str, Tensor], key: str, default: int) -> int:
    """The output channels of a weight, or `default` where there is none of that name."""
    return weights[key].shape[0] if key in weights and weights[key].dim() else default


def shape_of(weights: Mapping[str, Tensor], key: str, default: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a weight, or `default` where there is none of that name with as many axes."""
    found = tuple(weights[key].shape) if key in weights else default
    return found if len(found) == len(default) else default
