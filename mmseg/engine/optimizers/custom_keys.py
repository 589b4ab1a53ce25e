"""Settings of an optimiser for weights that do not exist."""
from __future__ import annotations

import difflib
import logging
from collections.abc import Mapping

from mmengine.logging import print_log
from torch import nn


def warn_of_unmatched_keys(optim_wrapper: Mapping, model: nn.Module) -> list[str]:
    """Warn of `custom_keys` that match the name of no weight, with the nearest names; return these keys."""
    keys = (optim_wrapper.get('paramwise_cfg') or {}).get('custom_keys') or {}
    names = [f'.{name}' for name, _ in model.named_parameters()]  # a key may begin with a dot, as in `.norm`
    unmatched = [key for key in keys if not any(key in name for name in names)]
    for key in unmatched:
        print_log(f'custom_keys of the optimiser: {key!r} matches no weight, so its settings are without effect; near '
                  f'are {", ".join(_nearest(key, names))}', logger='current', level=logging.WARNING)
    return unmatched


def _nearest(key: str, names: list[str]) -> list[str]:
    """Parts of names of as many fields as the key has, such as `decode_head.conv_seg` for `decod_head.conv_seg`."""
    fields = key.count('.') + 1
    parts = {}
    for name in names:
        words = name.strip('.').split('.')
        for start in range(len(words) - fields + 1):
            parts['.'.join(words[start:start + fields])] = None
    return difflib.get_close_matches(key, parts, n=3, cutoff=0.4) or list(parts)[:3]
