"""Packages that only exporting needs, asked for by name when they are needed."""
from __future__ import annotations

from importlib import import_module
from types import ModuleType

from mmseg.utils.errors import InputError


def need(name: str, what_for: str) -> ModuleType:
    """Import a package.

    Raises:
        InputError: it is not installed.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or '').split('.')[0] != name.split('.')[0]:
            raise
        raise InputError(f'{what_for} needs {name}, which is not installed: pip install {name}') from error
