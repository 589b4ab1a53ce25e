"""Bytes to arrays, and folders to lists of files."""
from __future__ import annotations

import gzip
import io
import os
import pickle

import cv2
import numpy as np

from mmseg.utils.errors import InputError


def _from_nifti(content: bytes) -> np.ndarray:
    try:
        from nibabel import Nifti1Image
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError('reading NIfTI volumes needs nibabel, which is not installed: '
                                  'pip install nibabel') from error
    packed = content[:2] == b'\x1f\x8b'
    return Nifti1Image.from_bytes(gzip.decompress(content) if packed else content).get_fdata()


def _from_image(content: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)


_DECODERS = {
    'numpy': lambda content: np.load(io.BytesIO(content)),
    'nifti': _from_nifti,
    'cv2': _from_image,
    'pickle': pickle.loads,
}


def datafrombytes(content: bytes, backend: str = 'numpy') -> np.ndarray:
    """Decode the content of a file.

    Args:
        content: the file, byte for byte.
        backend: `numpy` (.npy), `nifti` (.nii, .nii.gz; float64), `cv2` (any picture OpenCV reads, channels and depth
            as stored) or `pickle` (only from files you trust: reading one can run code).
    """
    if backend not in _DECODERS:
        raise InputError(f'backend {backend!r} cannot decode a file: use one of {", ".join(map(repr, _DECODERS))}')
    return _DECODERS[backend](content)


def list_files(folder: str, suffix: str = '', recursive: bool = True) -> list[str]:
    """List the files in `folder` whose names end with `suffix`, as sorted paths relative to it.

    What starts with a dot is left out. The folder's own listing tells files from folders, so no file is touched.
    """
    found, pending = [], ['']
    while pending:
        below = pending.pop()
        with os.scandir(os.path.join(folder, below)) as entries:
            for entry in entries:
                name = entry.name
                if name.startswith('.'):
                    continue
                if entry.is_dir():
                    if recursive:
                        pending.append(f'{below}{name}/')
                elif name.endswith(suffix):
                    found.append(below + name)
    return sorted(found)


def missing_files(folder: str, names: list[str]) -> list[str]:
    """Return those of `names`, paths relative to `folder`, that are not there, by listing each subfolder once."""
    there = {}
    for below in {os.path.dirname(name) for name in names}:
        path = os.path.join(folder, below)
        there[below] = set(os.listdir(path)) if os.path.isdir(path) else ()
    return [name for name in names if os.path.basename(name) not in there[os.path.dirname(name)]]


def nearest_folder(path: str) -> str:
    """Return the absolute path of the deepest folder on the way to `path` that exists."""
    folder = os.path.abspath(path)
    while not os.path.isdir(folder) and folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
    return folder
