"""Fetch a published file once: resumed where it broke off, checked against the hash in its name, kept for later.

What the environment says: `MMSEG_MIRROR`, addresses of mirrors that are asked first, separated by blanks, each followed
by the path that the file has at its origin; `MMSEG_CACHE`, the folder of what was fetched (by default PyTorch's,
`~/.cache/torch/hub/checkpoints`); `MMSEG_OFFLINE=1` for no network at all.
"""
from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import re
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlparse

from mmengine.logging import print_log

from mmseg.utils.errors import CheckpointError

WAITS = (1, 2, 4)  # seconds before each further attempt
TIMEOUT = 30  # seconds without a byte
BLOCK = 1 << 20
TRY_LATER = (408, 425, 429, 500, 502, 503, 504)
HASH_IN_NAME = re.compile(r'-([0-9a-f]{8,64})\.\w+$')


class _Broken(Exception):
    """An attempt that failed in a way that another may not."""


def cache_folder() -> Path:
    """Return the folder where downloads are kept."""
    if os.environ.get('MMSEG_CACHE'):
        return Path(os.environ['MMSEG_CACHE']).expanduser()
    import torch
    return Path(torch.hub.get_dir(), 'checkpoints')


def download(url: str, path: str | os.PathLike) -> None:
    """Fetch a file unless it is there already.

    Bytes that arrived before a break are kept as `PATH.part` and not fetched again. A name that ends in `-` and
    hexadecimal digits, as `…-2966598c.pth`, states the beginning of the SHA-256 of the content.

    Raises:
        CheckpointError: it cannot be fetched; the message says where to put it by hand.
    """
    path = Path(path)
    if path.is_file():
        return
    by_hand = f'download {url} on a machine with a network and put it at {path}, or set MMSEG_CACHE to its folder'
    if os.environ.get('MMSEG_OFFLINE', '0') not in ('', '0'):
        raise CheckpointError(f'{path.name} is not here and MMSEG_OFFLINE forbids to fetch it: {by_hand}')
    part = path.with_name(f'{path.name}.part')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _only_one(path.parent):
            if not path.is_file():  # another process may have fetched it meanwhile
                _fetch_from_any(sources(url), part)
                os.replace(part, path)
    except (OSError, _Broken) as error:
        raise CheckpointError(f'{url} cannot be fetched ({error}): {by_hand}') from error


def sources(url: str) -> list[str]:
    """Return the addresses to try: the mirrors', then the file's own."""
    mirrors = os.environ.get('MMSEG_MIRROR', '').split()
    return [*(mirror.rstrip('/') + urlparse(url).path for mirror in mirrors), url]


@contextlib.contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Let one process at a time fetch into a folder, where the system can lock."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(ImportError):
            import fcntl
            lock = stack.enter_context(open(folder / '.fetching', 'w'))
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch_from_any(addresses: list[str], part: Path) -> None:
    """Fill `part` from the first source that has the whole file."""
    reasons = []
    for address in addresses:
        try:
            _fetch_patiently(address, part)
            return
        except (OSError, _Broken) as error:
            reasons.append(f'{urlparse(address).netloc}: {error}')
    raise _Broken('; '.join(reasons))


def _fetch_patiently(address: str, part: Path) -> None:
    for wait in (*WAITS, None):
        try:
            _continue(address, part)
            _check(part)
            return
        except (_Broken, urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            final = isinstance(error, urllib.error.HTTPError) and error.code not in TRY_LATER
            if wait is None or final:
                raise _Broken(getattr(error, 'reason', error) if type(error) is urllib.error.URLError else error
                              ) from error
            print_log(f'{address}: {error}; trying again in {wait} s', 'current')
            time.sleep(wait)


def _continue(address: str, part: Path) -> None:
    """Append to `part` what it lacks, or begin anew where the server cannot send the rest alone."""
    have = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(address, headers={'User-Agent': 'mmseg'})
    if have:
        request.add_header('Range', f'bytes={have}-')
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        part.unlink()  # longer than the file: not a part of it
        raise _Broken('the part that was here does not belong to it') from error
    with answer:
        resumed = answer.status == http.HTTPStatus.PARTIAL_CONTENT
        have = have if resumed else 0
        length = answer.headers.get('Content-Length')
        total = None if length is None else have + int(length)
        verb = f'Resuming at {have >> 20} MiB' if resumed else 'Downloading'
        print_log(f'{verb}: {address}' + (f' ({total / 2**20:.1f} MiB)' if total else ''), 'current')
        with open(part, 'ab' if resumed else 'wb') as file:
            while block := answer.read(BLOCK):
                file.write(block)
                have += len(block)
                _show_progress(have, total)
    if total is not None and have != total:
        raise _Broken(f'the connection broke off after {have:,} of {total:,} bytes')


def _show_progress(have: int, total: int | None) -> None:
    if sys.stderr.isatty() and total:
        print(f'\r{100 * have // total} %', end='\n' if have == total else '', file=sys.stderr, flush=True)


def _check(part: Path) -> None:
    """Compare the content of `NAME-HASH.pth.part` with its hash; one that differs is deleted."""
    stated = HASH_IN_NAME.search(part.name.removesuffix('.part'))
    if stated is None:
        return
    with open(part, 'rb') as file:
        found = hashlib.file_digest(file, 'sha256').hexdigest() if hasattr(hashlib, 'file_digest') else (
            hashlib.sha256(file.read()).hexdigest())
    if not found.startswith(stated[1]):
        part.unlink()
        raise _Broken(f'its content has the hash {found[:len(stated[1])]} where its name says {stated[1]}')
