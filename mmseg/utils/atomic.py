"""Files that are there as a whole or not at all, whenever the process or the machine stops."""
from __future__ import annotations

import errno
import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from mmseg.utils.errors import InputError

UNFINISHED = '.writing'
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class DiskFullError(OSError, InputError):
    """A file that did not fit on the disk; what stood in its place is unharmed."""


def replace_file(path: str | os.PathLike, write: Callable[[io.RawIOBase], object], durable: bool = True) -> None:
    """Let `write` fill a file beside `path`, see it onto the disk, then rename it, one step for every observer.

    Without `durable` the file is not waited for: many small ones go much faster, and only a power cut can harm them.

    Raises:
        DiskFullError: there is no room; the message says how many bytes it takes and how many are free.
    """
    path = Path(path)
    unfinished = path.with_name(f'.{path.name}{UNFINISHED}')
    watched = None
    try:
        with open(unfinished, 'wb', buffering=0) as file:
            watched = _WatchedFile(file)
            write(watched)
            if durable:
                os.fsync(file.fileno())
        os.replace(unfinished, path)
        if durable:
            _sync_folder(path.parent)
    except BaseException as error:
        unfinished.unlink(missing_ok=True)
        failure = watched.failure if watched is not None and watched.failure is not None else error
        if getattr(failure, 'errno', None) not in _NO_ROOM:
            raise
        full = DiskFullError(_no_room(path, write))
        full.errno = failure.errno
        raise full from error


def write_text(text: str, path: str | os.PathLike) -> None:
    """Write a small file with the guarantee of :func:`replace_file`."""
    replace_file(path, lambda file: file.write(text.encode()))


def remove_unfinished(folder: str | os.PathLike) -> list[Path]:
    """Delete what a process that was killed while writing left behind, and return it."""
    found = sorted(Path(folder).glob(f'.*{UNFINISHED}'))
    for path in found:
        path.unlink(missing_ok=True)
    return found


class _WatchedFile(io.RawIOBase):
    """A file that counts bytes and remembers the system's error, which PyTorch's writer replaces by one of its own."""

    def __init__(self, file: io.RawIOBase | None = None):
        self._file = file
        self.size = 0
        self.failure: OSError | None = None

    def writable(self) -> bool:
        return True

    def write(self, content) -> int:
        view = memoryview(content).cast('B')
        self.size += view.nbytes
        while self._file is not None and view.nbytes:
            try:
                view = view[self._file.write(view):]
            except OSError as error:
                self.failure = error
                raise
        return memoryview(content).nbytes


def _sync_folder(folder: Path) -> None:
    if os.name == 'posix':  # elsewhere a folder cannot be opened
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _no_room(path: Path, write: Callable[[io.RawIOBase], object]) -> str:
    scale = _WatchedFile()
    write(scale)
    kept = 'the one that stood there is unharmed' if path.exists() else 'earlier ones are unharmed'
    return (f'no room for {path}: it takes {scale.size:,} bytes and {shutil.disk_usage(path.parent).free:,} are free; '
            f'{kept}. Free some space, or keep fewer checkpoints (`max_keep_ckpts` of CheckpointHook) or keep them '
            'elsewhere (`out_dir`)')
