"""Weights and images that follow from their names and seeds, so that figures can be compared without weight files.

The facts in `data/zoo_states.json` (keys, shapes and types of each model's state dict, as a hash) and
`data/golden_logits.json` (samples of logits) were read off MMSegmentation 1.2.2 with these functions.
"""
from __future__ import annotations

import hashlib
import json
import zlib
from functools import cache
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from torch import nn

ROOT = Path(__file__).resolve().parents[1]
# Folders of configs whose networks are still to come.
NOT_YET = frozenset()


@cache
def facts(name: str) -> dict:
    """Read a file of `tests/data`."""
    return json.loads((ROOT / 'tests' / 'data' / name).read_text())


def models_of(facts_name: str) -> list[str]:
    """The models that a file of facts speaks of, `FOLDER/NAME`, and that can be built already."""
    return [name for name in facts(facts_name) if name.split('/')[0] not in NOT_YET]


@cache
def model_config(name: str) -> dict:
    """The model of a config, `FOLDER/NAME` below `configs/`."""
    return Config.fromfile(ROOT / 'configs' / f'{name}.py').model


def state_digest(model: nn.Module) -> str:
    """Hash every key of the state dict with its shape and type; the order does not count."""
    lines = sorted(f'{key}:{"x".join(map(str, value.shape))}:{value.dtype}'.replace('torch.', '')
                   for key, value in model.state_dict().items())
    return hashlib.sha256('\n'.join(lines).encode()).hexdigest()[:16]


def fill(model: nn.Module) -> nn.Module:
    """Fill each floating-point entry of the state dict from a generator seeded by its key, and return the model.

    Variances and one-dimensional weights are uniform in [0.5, 1.5), other vectors a tenth of normal, the rest normal
    over the square root of the fan-in.
    """
    for key, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(torch.as_tensor(np.asarray(_values(key, tuple(tensor.shape)))))
    return model


def _values(key: str, shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(zlib.crc32(key.encode()))
    if key.endswith('running_var') or (len(shape) <= 1 and key.endswith('weight')):
        return rng.uniform(0.5, 1.5, shape)
    if len(shape) <= 1:
        return rng.standard_normal(shape) * 0.1
    return rng.standard_normal(shape) / np.sqrt(max(1, int(np.prod(shape[1:]))))


def image(height: int, width: int, batch: int = 1, channels: int = 3, seed: int = 0) -> torch.Tensor:
    """A smooth pattern with noise, (batch, channels, height, width), of about unit variance."""
    rng = np.random.default_rng(1000 + seed)
    y, x = np.meshgrid(np.linspace(0, 6, height), np.linspace(0, 6, width), indexing='ij')
    waves = [np.sin(y * (c % 3 + 1) + c) * np.cos(x * (c % 2 + 1)) for c in range(channels)]
    noise = rng.standard_normal((batch, channels, height, width))
    return torch.as_tensor(np.stack(waves)[None] + 0.3 * noise, dtype=torch.float32)


def samples(tensor: torch.Tensor, count: int) -> np.ndarray:
    """Values at the first `count` of the random places that the facts were sampled at."""
    values = tensor.detach().double().numpy().ravel()
    return values[np.random.default_rng(7).integers(0, values.size, 128)[:count]]
