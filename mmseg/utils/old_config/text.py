"""A config as a file that a person reads: in the order of the work, and nothing said twice."""
from __future__ import annotations

from collections.abc import Mapping

WIDTH = 110
ORDER = ('custom_imports', 'norm_cfg', 'crop_size', 'model', 'dataset_type', 'data_root', 'train_pipeline',
         'test_pipeline', 'tta_pipeline', 'train_dataloader', 'val_dataloader', 'test_dataloader', 'val_evaluator',
         'test_evaluator', 'optimizer', 'optim_wrapper', 'param_scheduler', 'train_cfg', 'val_cfg', 'test_cfg',
         'default_hooks')
HEADINGS = {'model': 'The network', 'train_pipeline': 'The data', 'optim_wrapper': 'The training',
            'default_hooks': 'Everything else'}
# Values below these keys that equal a variable above are written as that variable.
NAMED = {'pipeline': ('train_pipeline', 'test_pipeline'), 'norm_cfg': ('norm_cfg',), 'data_root': ('data_root',),
         'size': ('crop_size',), 'crop_size': ('crop_size',),
         'type': ('dataset_type',)}


def as_text(config: Mapping, heading: str = '') -> str:
    """Return the text of a config file; `heading` becomes its first comment."""
    order = {key: place for place, key in enumerate(ORDER)}
    keys = sorted(config, key=lambda key: order.get(key, len(order)))
    lines, known = [f'# {heading}'] if heading else [], {}
    for key in keys:
        if key in HEADINGS:
            lines += ['', f'# {HEADINGS[key]}']
        same = next((name for name in known if name.endswith(('_dataloader', '_evaluator'))
                     and key.endswith(('_dataloader', '_evaluator')) and known[name] == config[key]), None)
        lines.append(f'{key} = {same or _said(config[key], known, len(key) + 3, 0)}')
        known[key] = config[key]
    return '\n'.join(lines) + '\n'


def _said(value: object, known: Mapping, used: int, indent: int) -> str:
    """Write a value, on one line where it fits behind `used` characters, and otherwise one part a line."""
    flat = _flat(value, known)
    if used + len(flat) <= WIDTH or not isinstance(value, (Mapping, list, tuple)) or not value:
        return flat
    deeper = ' ' * (indent + 4)
    if isinstance(value, Mapping):
        plain = all(isinstance(key, str) and key.isidentifier() for key in value)
        start, end = ('dict(', ')') if plain else ('{', '}')
        parts = [(f'{key}=' if plain else f'{key!r}: ', _reference(key, item, known), item)
                 for key, item in value.items()]
    else:
        start, end = ('[', ']') if isinstance(value, list) else ('(', ',)' if len(value) == 1 else ')')
        parts = [('', None, item) for item in value]
    lines = [deeper + name + (reference or _said(item, known, len(deeper + name) + 1, indent + 4))
             for name, reference, item in parts]
    return f'{start}\n' + ',\n'.join(lines) + end


def _flat(value: object, known: Mapping) -> str:
    if isinstance(value, Mapping):
        if all(isinstance(key, str) and key.isidentifier() for key in value):
            return f"dict({', '.join(f'{k}={_reference(k, v, known) or _flat(v, known)}' for k, v in value.items())})"
        return f"{{{', '.join(f'{key!r}: {_flat(item, known)}' for key, item in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(_flat(item, known) for item in value)}]"
    if isinstance(value, tuple):
        return f"({', '.join(_flat(item, known) for item in value)}{',' * (len(value) == 1)})"
    return repr(value)


def _reference(key: str, value: object, known: Mapping) -> str | None:
    """Return the variable above that a value equals, where that says more than the value."""
    return next((name for name in NAMED.get(key, ()) if name in known and known[name] == value), None)
