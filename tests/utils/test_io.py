"""Decoding files, and listing folders."""
import gzip
import io
import pickle
import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from mmseg.utils import datafrombytes
from mmseg.utils.errors import InputError
from mmseg.utils.io import list_files, missing_files, nearest_folder

ARRAY = np.arange(12, dtype=np.uint16).reshape(3, 4)


def as_npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize('backend, content', [
    ('numpy', as_npy(ARRAY)), ('cv2', cv2.imencode('.png', ARRAY)[1].tobytes()), ('pickle', pickle.dumps(ARRAY))])
def test_content_becomes_the_array_it_was(backend, content):
    array = datafrombytes(content, backend=backend)
    assert array.dtype == np.uint16
    np.testing.assert_array_equal(array, ARRAY)


@pytest.mark.parametrize('pack', [gzip.compress, bytes])
def test_nifti_is_unpacked_where_it_is_packed(monkeypatch, pack):
    volume = SimpleNamespace(from_bytes=lambda content: SimpleNamespace(get_fdata=lambda: content.decode()))
    monkeypatch.setitem(sys.modules, 'nibabel', SimpleNamespace(Nifti1Image=volume))
    assert datafrombytes(pack(b'a volume'), backend='nifti') == 'a volume'


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, 'nibabel', None)
    with pytest.raises(ModuleNotFoundError, match='pip install nibabel'):
        datafrombytes(b'', backend='nifti')
    with pytest.raises(InputError, match="'tiff' cannot decode .* 'numpy', 'nifti', 'cv2', 'pickle'"):
        datafrombytes(b'', backend='tiff')


def test_folders_are_listed(tmp_path):
    for name in ('b.png', 'a.png', 'x/c.png', 'x/y/d.png', 'x/e.jpg', '.git/f.png', '.g.png'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / 'linked').symlink_to(tmp_path / 'x' / 'y')
    (tmp_path / 'l.png').symlink_to(tmp_path / 'a.png')
    assert list_files(tmp_path, '.png') == ['a.png', 'b.png', 'l.png', 'linked/d.png', 'x/c.png', 'x/y/d.png']
    assert list_files(tmp_path, recursive=False) == ['a.png', 'b.png', 'l.png']
    assert missing_files(tmp_path, ['a.png', 'x/c.png', 'x/a.png', 'no/a.png', './/b.png']) == ['x/a.png', 'no/a.png']
    assert nearest_folder(f'{tmp_path}/x/no/no') == f'{tmp_path}/x'


def test_a_relative_path_is_near_the_folder_one_is_in(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert nearest_folder('data/city') == str(tmp_path)
