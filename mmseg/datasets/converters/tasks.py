"""What one process does at a time: read one published file, write one file or the pieces of it.

A file that is there and whole is not written again, so a conversion that broke off goes on where it was.
"""
from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from mmseg.datasets.converters.archives import Member
from mmseg.utils.atomic import DiskFullError, replace_file
from mmseg.utils.errors import InputError

# What the files end with; a few bytes may follow.
_END_MARKS = {'.png': b'IEND\xaeB`\x82', '.jpg': b'\xff\xd9'}


def is_whole(path: str, size: int | None = None) -> bool:
    """Whether a file is there, has `size` bytes if that is known, and is not cut off."""
    try:
        found = os.path.getsize(path)
    except OSError:
        return False
    if size is not None:
        return found == size
    mark = _END_MARKS.get(os.path.splitext(path)[1].lower(), b'')
    with open(path, 'rb') as file:
        file.seek(max(found - 64, 0))
        return found > 0 and mark in file.read()


@dataclass(frozen=True)
class Task:
    """Turn a published file into one file, or copy it where `convert` is None.

    Args:
        source: what is read.
        target: what is written.
        convert: content, name of the source -> content of the target.
        growth: about how many times as large the target is.
    """

    source: Member | Any
    target: str
    convert: Callable[[Any, str], bytes] | None = None
    growth: float = 1

    def is_done(self) -> bool:
        return is_whole(self.target, self.source.size if self.convert is None else None)

    def writes(self, folder: str, suffix: str) -> bool:
        """Whether files go into this folder under names that end with `suffix`."""
        return (self.target.endswith(suffix)
                and os.path.abspath(self.target).startswith(os.path.join(os.path.abspath(folder), '')))

    def files(self, content: Any) -> Iterable[tuple[str, Callable[[], bytes]]]:
        """Yield the path of each file that is to be written, and what makes its content."""
        name = str(self.source)
        yield self.target, lambda: content if self.convert is None else self.convert(content, name)


@dataclass(frozen=True)
class Pieces(Task):
    """Turn a published file into several, whose names begin with `target`; they are known when it is read."""

    suffix: str = '.png'

    def is_done(self) -> bool:
        return False

    def writes(self, folder: str, suffix: str) -> bool:
        return super().writes(folder, '') and self.suffix.endswith(suffix)


@dataclass(frozen=True)
class Patches(Pieces):
    """Cut an image, or labels, into patches.

    Args:
        decode: content, name of the source -> array of (H, W) or (H, W, 3).
        side: height and width of a patch.
        step: how far apart patches begin; the last is moved back into the image.
        name: of a patch behind `target`, a format of x0, y0, x1, y1.
        fill: what a smaller image is filled up with at the right and below; None: such a patch is smaller.
    """

    decode: Callable[[bytes, str], Any] = None
    side: tuple[int, int] = (512, 512)
    step: tuple[int, int] = (512, 512)
    name: str = '_{x0}_{y0}_{x1}_{y1}'
    fill: int | None = None

    def files(self, content: bytes) -> Iterator[tuple[str, Callable[[], bytes]]]:
        from mmseg.datasets.converters.codecs import open_image, png
        where = str(self.source)
        width, height = open_image(content, where).size
        pixels = cache(lambda: self._filled(self.decode(content, where)))
        for y0 in starts(height, self.side[0], self.step[0]):
            for x0 in starts(width, self.side[1], self.step[1]):
                y1, x1 = y0 + self.side[0], x0 + self.side[1]
                if self.fill is None:
                    y1, x1 = min(y1, height), min(x1, width)
                name = self.name.format(x0=x0, y0=y0, x1=x1, y1=y1)
                yield (f'{self.target}{name}{self.suffix}',
                       lambda y0=y0, y1=y1, x0=x0, x1=x1: png(pixels()[y0:y1, x0:x1]))

    def _filled(self, pixels):
        from numpy import pad
        missing = [max(side - length, 0) for side, length in zip(self.side, pixels.shape)]
        if self.fill is None or not any(missing):
            return pixels
        border = [(0, missing[0]), (0, missing[1]), (0, 0)][:pixels.ndim]
        return pad(pixels, border, constant_values=self.fill)


def starts(length: int, side: int, step: int) -> list[int]:
    """Return where windows of `side` begin that cover `length`: `step` apart, the last moved back to end at its end."""
    last = max(length - side, 0)
    return [*range(0, last, step), last]


def execute(task: Task) -> int:
    """Carry out a task and return how many files it has written; those that are there and whole stay.

    Raises:
        InputError: the source is not what it should be, or there is no room for the target.
    """
    if task.is_done():
        return 0
    content = task.source.read()
    written = 0
    for path, make in task.files(content):
        if isinstance(task, Pieces) and is_whole(path):
            continue
        made = make()
        try:
            replace_file(path, lambda file, made=made: file.write(made), durable=False)
        except DiskFullError as error:
            raise InputError(f'no room for {path}: it takes {len(made):,} bytes. What is written stays: free some '
                             'space and give the same command again') from error
        written += 1
    return written
