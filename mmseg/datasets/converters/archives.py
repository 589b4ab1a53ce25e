"""The files in a folder or archive: listed by name, read where they lie.

Nothing is unpacked under a name that an archive gives. Zip and tar files are read in place, each process for itself; a
compressed tar file, which can only be read from front to back, becomes a plain one in a scratch folder first, and so do
archives inside archives.
"""
from __future__ import annotations

import bz2
import gzip
import lzma
import os
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from mmseg.utils.errors import InputError

ARCHIVE = re.compile(r'\.(zip|tar|tgz|tbz2|txz|tar\.(gz|bz2|xz)|rar|7z)$', re.IGNORECASE)
_DECOMPRESS = {b'\x1f\x8b': gzip.open, b'BZh': bz2.open, b'\xfd7zXZ\0': lzma.open}
_UNREADABLE = {b'Rar!': 'rar', b"7z\xbc\xaf\x27\x1c": '7z'}
_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, gzip.BadGzipFile)


@dataclass(frozen=True)
class Member:
    """One file. `name` is its path below what the user gave; an archive counts as a folder of its own name."""

    name: str
    size: int
    container: str
    inner: str
    offset: int | None = None  # of its content, in a tar file

    def __str__(self) -> str:
        return os.path.join(self.container, self.inner)

    def read(self) -> bytes:
        """Return the content, unpacked where it is gzipped.

        Raises:
            InputError: it is damaged, encrypted or packed in a way that Python cannot read.
        """
        try:
            content = self._content()
            return gzip.decompress(content) if content[:2] == b'\x1f\x8b' else content
        except _DAMAGE as error:
            raise InputError(f'{self} is damaged ({error}): fetch {os.path.basename(self.container)} again') from error
        except (NotImplementedError, RuntimeError) as error:
            why = 'it is encrypted' if 'password' in str(error) or 'encrypted' in str(error) else str(error)
            raise InputError(f'{self} cannot be read ({why}): unpack {os.path.basename(self.container)} with another '
                             'program and give the folder instead') from error

    def _content(self) -> bytes:
        if os.path.isdir(self.container):
            return Path(self.container, self.inner).read_bytes()
        if self.offset is None:
            return _zip_file(self.container).read(self.inner)
        with open(self.container, 'rb') as file:
            file.seek(self.offset)
            content = file.read(self.size)
        if len(content) < self.size:
            raise tarfile.ReadError('unexpected end of data')
        return content


class Scratch:
    """A folder for unpacked archives, made when it is first needed and removed at the end."""

    def __init__(self, parent: str | os.PathLike, name: str):
        self.folder = Path(parent, f'.unpacked-{name}')

    def __enter__(self) -> Scratch:
        shutil.rmtree(self.folder, ignore_errors=True)  # what a run that was killed left there
        return self

    def __exit__(self, *_) -> None:
        _zip_file.cache_clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    def keep(self, name: str, source) -> Path:
        """Write what the open file `source` yields and return where."""
        path = self.folder / f'{len(list(self.folder.iterdir())) if self.folder.is_dir() else 0}-{name}'
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with open(path, 'wb') as file:
                shutil.copyfileobj(source, file, 1 << 20)
        except OSError as error:
            if isinstance(error, _DAMAGE) or error.errno is None:
                raise
            free = shutil.disk_usage(self.folder).free
            raise InputError(f'{name} cannot be unpacked into {self.folder} ({error.strerror}, {free:,} bytes are '
                             'free): free some space, or choose another folder with --tmp-dir') from error
        return path


def list_members(path: str | os.PathLike, scratch: Scratch, archives: str = '', nested: str = '') -> list[Member]:
    """List the files of an archive; or those in a folder, and those of the archives in it.

    Args:
        path: what the user gave.
        scratch: where compressed tar files and archives in archives are unpacked.
        archives: regular expression for the names of the archives to look into where `path` is a folder; case does
            not matter. By default none.
        nested: the same for archives inside of archives.

    Raises:
        InputError: there is nothing, or an archive is none, damaged, or has a member that leads out of it.
    """
    path = os.fspath(path)
    if not os.path.exists(path):
        folder = os.path.dirname(path) or '.'
        there = sorted(os.listdir(folder))[:8] if os.path.isdir(folder) else None
        raise InputError(f'{path!r} does not exist; ' + (
            f'its folder does not exist either: {folder!r}' if there is None else
            f'its folder holds {", ".join(there) or "nothing"}') + ': give the path of what you have downloaded')
    if os.path.isfile(path):
        return [member for member in _of_archive(path, os.path.basename(path), scratch, nested) if _is_file(member)]
    found = []
    for name in _walk(path):
        file = os.path.join(path, name)
        if ARCHIVE.search(name) and archives and re.fullmatch(archives, os.path.basename(name), re.IGNORECASE):
            found += _of_archive(file, name, scratch, nested)
        else:
            found.append(Member(name, os.path.getsize(file), path, name))
    return [member for member in found if _is_file(member)]


def read_list(members: list[Member], end: str, expects: str) -> list[str]:
    """Return the lines of the text file whose path ends with `end`.

    Raises:
        InputError: there is none.
    """
    texts = [member for member in members if f'/{member.name}'.endswith(f'/{end}')]
    if not texts:
        raise InputError(f'found no {end} among {len(members):,} files; expected it in {expects}')
    return [line.strip() for line in texts[0].read().decode().splitlines() if line.strip()]


def _is_file(member: Member) -> bool:
    """Whether this is one of the data; macOS and desktops add files of their own."""
    return not any(part.startswith('.') or part == '__MACOSX' for part in member.name.split('/'))


def _walk(root: str) -> Iterator[str]:
    for folder, below, files in os.walk(root, followlinks=True):
        below[:] = sorted(name for name in below if not name.startswith('.'))
        inside = os.path.relpath(folder, root).replace(os.sep, '/')
        yield from (name if inside == '.' else f'{inside}/{name}' for name in sorted(files))


def _of_archive(path: str, name: str, scratch: Scratch, nested: str) -> list[Member]:
    """List an archive's files under names that begin with `name`."""
    try:
        members = [replace(member, name=f'{name}/{_safe(member.inner, path)}') for member in _open(path, scratch)]
    except (*_DAMAGE, OSError) as error:
        if getattr(error, 'errno', None) is not None:
            raise
        raise InputError(f'{path} is damaged or not complete ({error}; {os.path.getsize(path):,} bytes): '
                         'fetch it again') from error
    found = []
    for member in members:
        file = os.path.basename(member.name)
        if nested and ARCHIVE.search(file) and re.fullmatch(nested, file, re.IGNORECASE) and _is_file(member):
            with _stream(member) as source:
                unpacked = scratch.keep(file, source)
            found += _of_archive(os.fspath(unpacked), member.name, scratch, nested)
        else:
            found.append(member)
    return found


def _stream(member: Member):
    if member.offset is None:
        return _zip_file(member.container).open(member.inner)
    file = open(member.container, 'rb')  # noqa: SIM115  (closed by the caller)
    file.seek(member.offset)
    return _Part(file, member.size)


class _Part:
    """The next `size` bytes of an open file, as a file."""

    def __init__(self, file, size: int):
        self.file, self.left = file, size

    def read(self, count: int) -> bytes:
        content = self.file.read(min(count, self.left))
        self.left -= len(content)
        return content

    def __enter__(self) -> _Part:
        return self

    def __exit__(self, *_) -> None:
        self.file.close()


def _safe(name: str, archive: str) -> str:
    """Return the path of a member, tidied up.

    Raises:
        InputError: it leads out of the archive.
    """
    path = name.replace('\\', '/')
    if path.startswith('/') or re.match(r'[A-Za-z]:', path) or '..' in path.split('/'):
        raise InputError(f'{archive} has a member {name!r}, which would be written outside of the target folder: '
                         'the archive is not the published one, fetch it again')
    return '/'.join(part for part in path.split('/') if part not in ('', '.'))


@lru_cache(maxsize=8)
def _zip_file(path: str) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)


def _open(path: str, scratch: Scratch) -> list[Member]:
    """List the plain files of an archive; links and devices are passed over."""
    with open(path, 'rb') as file:
        start = file.read(512)
    for mark, kind in _UNREADABLE.items():
        if start.startswith(mark):
            raise InputError(f'{path} is a {kind} archive, which cannot be opened here: unpack it with another program '
                             'and give the folder instead')
    if start.startswith(b'PK'):
        with zipfile.ZipFile(path) as archive:
            return [Member('', info.file_size, path, info.filename) for info in archive.infolist()
                    if not info.is_dir() and not stat.S_ISLNK(info.external_attr >> 16)]
    for mark, decompress in _DECOMPRESS.items():
        if start.startswith(mark):
            with decompress(path, 'rb') as source:
                plain = scratch.keep(os.path.basename(path), source)
            return _of_tar(os.fspath(plain), path)
    return _of_tar(path, path)


def _of_tar(path: str, called: str) -> list[Member]:
    if not tarfile.is_tarfile(path):
        with open(path, 'rb') as file:
            start = file.read(64).lstrip()
        page = start[:15].lower().startswith((b'<!doctype', b'<html'))
        raise InputError(f'{called} begins with {start[:12]!r}'
                         f'{", a web page: the download asks to log in or to confirm" if page else ""}; expected a zip '
                         f'or tar archive (it has {os.path.getsize(called):,} bytes): fetch it again')
    with tarfile.open(path, 'r:') as archive:
        members = [Member('', info.size, path, info.name, info.offset_data) for info in archive if info.isreg()]
    end = max((member.offset + member.size for member in members), default=0)
    if end > os.path.getsize(path):
        raise tarfile.ReadError(f'it ends at {os.path.getsize(path):,} of {end:,} bytes')
    return members
