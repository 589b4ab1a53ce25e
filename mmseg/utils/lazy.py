"""Packages that import a module only when one of its names is first used (PEP 562)."""
from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module


def lazy_exports(package: str, table: Mapping[str, Sequence[str]]) -> tuple[Callable, Callable, list[str]]:
    """Make `__getattr__`, `__dir__` and `__all__` of a package from a table *module -> names it publishes*.

    A key is a module relative to the package (`'fcn_head'`, `'transforms.loading'`); its value lists the public names.
    Registries read `__all__` to find the module that defines a `type` without importing the others.

    >>> __getattr__, __dir__, __all__ = lazy_exports(__name__, {'fcn_head': ['FCNHead']})
    """
    module_of = {name: module for module, names in table.items() for name in names}

    def load(name: str):
        if name not in module_of:
            raise AttributeError(f'module {package!r} has no attribute {name!r}')
        value = getattr(import_module(f'{package}.{module_of[name]}'), name)
        setattr(sys.modules[package], name, value)
        return value

    # The import system binds a submodule to its package under the submodule's name, so a function of that very name
    # has to be there, and to stay there, before anybody imports the submodule.
    for name, module in module_of.items():
        if name == module:
            load(name)
    names = list(module_of)
    return load, lambda: names, names
