"""Weights of a network in TorchScript, as CLIP is published, read without running anything of its program."""
from __future__ import annotations

import os
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Iterator

import torch

from mmseg.utils.errors import CheckpointError

_TYPES = {f'{name}Storage': dtype for name, dtype in (
    ('Float', torch.float32), ('Half', torch.float16), ('BFloat16', torch.bfloat16), ('Double', torch.float64),
    ('Long', torch.int64), ('Int', torch.int32), ('Short', torch.int16), ('Char', torch.int8), ('Byte', torch.uint8),
    ('Bool', torch.bool))}


class _Module:
    """Stands for every class that the program defines: its attributes alone."""


def _tensor(storage: torch.Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_) -> torch.Tensor:
    return storage.as_strided(size, stride, offset).clone()


def _as_it_is(value, *_):
    return value


class _Attributes(pickle.Unpickler):
    """Reads the attributes of the modules; whatever else the file asks for is refused."""

    def __init__(self, archive: zipfile.ZipFile, folder: str):
        super().__init__(archive.open(f'{folder}/data.pkl'))
        self.archive, self.folder = archive, folder

    def find_class(self, module: str, name: str):
        if module.partition('.')[0] == '__torch__':
            return _Module
        if module == 'torch' and name in _TYPES:
            return _TYPES[name]
        if module == 'torch.jit._pickle':  # marks the types of lists and dictionaries
            return _as_it_is
        known = {('torch._utils', '_rebuild_tensor_v2'): _tensor, ('collections', 'OrderedDict'): OrderedDict}
        if (module, name) not in known:
            raise pickle.UnpicklingError(f'it asks for {module}.{name}')
        return known[module, name]

    def persistent_load(self, pid: tuple) -> torch.Tensor:
        _, dtype, key, _, count = pid
        content = bytearray(self.archive.read(f'{self.folder}/data/{key}'))
        return torch.frombuffer(content, dtype=dtype, count=count) if count else torch.empty(0, dtype=dtype)


def is_torchscript(path: str | os.PathLike) -> bool:
    """Whether a file is an archive of TorchScript."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith('/constants.pkl') for name in archive.namelist())


def read_torchscript(path: str | os.PathLike) -> dict[str, torch.Tensor]:
    """Return the tensors of all modules by name.

    Raises:
        CheckpointError: the file is damaged, or asks for what is no weight.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            folder = next(name for name in archive.namelist() if name.endswith('/data.pkl')).rpartition('/')[0]
            return dict(_tensors(_Attributes(archive, folder).load(), ''))
    except Exception as error:  # a damaged archive can fail in any way
        raise CheckpointError(f'{path} cannot be read as TorchScript ({type(error).__name__}: {error})') from error


def _tensors(module: _Module, prefix: str) -> Iterator[tuple[str, torch.Tensor]]:
    for name, value in vars(module).items():
        if isinstance(value, torch.Tensor):
            yield prefix + name, value
        elif isinstance(value, _Module):
            yield from _tensors(value, f'{prefix}{name}.')
