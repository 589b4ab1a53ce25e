"""The words of 0.x, and what every part of the translation needs: to take known keys and to refuse unknown ones."""
from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

from mmseg.utils.errors import ConfigError

# Of no meaning in 1.x, so that any of them marks a config of 0.x, or a leaf of 0.x over a base of 1.x …
MARKS = ('lr_config', 'momentum_config', 'optimizer_config', 'checkpoint_config', 'log_config', 'evaluation')
# … and those that some configs of 1.x keep without a use: they count where nothing of 1.x is beside them.
WEAK_MARKS = ('total_iters', 'total_epochs', 'workflow', 'dist_params', 'resume_from', 'runner', 'optimizer')
PARTS_OF_1X = ('train_dataloader', 'val_dataloader', 'test_dataloader', 'optim_wrapper', 'param_scheduler')
OLD_KEYS = (*MARKS, *WEAK_MARKS, 'data', 'fp16', 'cudnn_benchmark', 'opencv_num_threads', 'mp_start_method',
            'gpu_ids', 'seed', 'deterministic', 'device', 'auto_resume', 'omnisource')
DATA_KEYS = ('samples_per_gpu', 'workers_per_gpu', 'train', 'val', 'test', 'train_dataloader', 'val_dataloader',
             'test_dataloader', 'persistent_workers', 'pin_memory', 'drop_last', 'prefetch_factor', 'shuffle')


def is_old(config: Mapping) -> bool:
    """Whether a config, or what a leaf adds to one of 1.x, is written as in 0.x."""
    data = config.get('data')
    asks_for_data = isinstance(data, Mapping) and any(key in data for key in DATA_KEYS)
    pure = not any(key in config for key in PARTS_OF_1X)
    return asks_for_data or any(key in config for key in (*MARKS, *(WEAK_MARKS if pure else ())))


def refuse_unknown(options: Mapping, known: Iterable[str], where: str) -> None:
    """Stop at the first key that the translation does not know.

    Raises:
        ConfigError: there is one; the message names it and the nearest that is known.
    """
    for key in options:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f'did you mean {near[0]}?' if near else f'known are {", ".join(known)}'
            raise ConfigError(f'{where}.{key} of this 0.x config has no counterpart: {hint} Remove it, or write this '
                              'part as in 1.x (docs/en/migration.md)')


def refuse_value(where: str, value: object, known: Iterable[str]) -> ConfigError:
    """Return the error for a value that the translation does not know."""
    return ConfigError(f'{where}={value!r} of this 0.x config has no counterpart: known are {", ".join(known)}; write '
                       'this part as in 1.x (docs/en/migration.md)')


def renamed(options: Mapping, table: Mapping[str, str]) -> dict:
    """Return options with the keys of `table` renamed, in their order."""
    return {table.get(key, key): value for key, value in options.items()}


def merged(base: Mapping | None, change: Mapping) -> dict:
    """Return `base` with the nested values of `change` set; a dictionary with another `type` replaces."""
    result = dict(base or {})
    for key, value in change.items():
        inner = result.get(key)
        replaces = not isinstance(value, Mapping) or not isinstance(inner, Mapping) or (
            'type' in value and value['type'] != inner.get('type'))
        result[key] = value if replaces else merged(inner, value)
    return result
