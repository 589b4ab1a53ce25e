"""What a leaf of 0.x over a base of 1.x says itself of the optimiser: the base has a variable of that name, too."""
from __future__ import annotations

import ast
import os
from collections.abc import Mapping
from pathlib import Path


def own_optimizer(file: str | None, options: Mapping) -> dict | None:
    """Return what a config file, or options by dotted key, set of `optimizer`; None where they do not."""
    said: dict = {}
    tree = ast.parse(Path(file).read_text(encoding='utf-8')) if file and os.path.isfile(file) else ast.Module([], [])
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], 'id', None) == 'optimizer':
            said = _value(node.value)
    for key, value in options.items():
        if key.startswith('optimizer.'):
            said[key.removeprefix('optimizer.')] = value
    said.pop('_delete_', None)
    return said or None


def _value(node: ast.expr):
    """Evaluate literals and calls of `dict`."""
    if isinstance(node, ast.Call) and getattr(node.func, 'id', None) == 'dict':
        return {keyword.arg: _value(keyword.value) for keyword in node.keywords}
    return ast.literal_eval(node)
