"""What a user gives to be labelled: files, folders, patterns, arrays and videos, as one sequence of pictures."""
from __future__ import annotations

import glob
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmseg.apis.pipeline import images_in
from mmseg.apis.video import SUFFIXES, VideoSource, is_video
from mmseg.utils.errors import InputError

OnError = Callable[[object, InputError], object]


@dataclass(frozen=True)
class Picture:
    """One image, or one frame of a video.

    Args:
        image: its path, or the array (H, W, 3) in BGR.
        name: of the files that come of it, without suffix; '' for an array, `VIDEO/NUMBER` for a frame.
        video: that it is a frame of.
    """

    image: str | np.ndarray
    name: str = ''
    video: VideoSource | None = None

    @classmethod
    def of(cls, source) -> Picture:
        """Make a picture of a path or an array; a picture stays what it is."""
        if isinstance(source, Picture):
            return source
        return cls(source) if isinstance(source, np.ndarray) else cls(str(source), Path(source).stem)


def expand(inputs) -> Iterable:
    """List what paths mean: folders their images and videos, patterns the files that match; the rest stays.

    Raises:
        InputError: a folder is empty or nothing matches.
    """
    if isinstance(inputs, (str, os.PathLike, np.ndarray, VideoSource)):
        inputs = [inputs]
    if not isinstance(inputs, Sequence):
        return inputs
    return [source for given in inputs for source in _expand_one(given)]


def _expand_one(given) -> list:
    if not isinstance(given, (str, os.PathLike)) or os.path.isfile(given):
        return [given]
    if os.path.isdir(given):
        return images_in(given, SUFFIXES)
    if not glob.has_magic(str(given)) or '://' in str(given):
        return [given]
    files = sorted(file for file in glob.glob(str(given), recursive=True) if os.path.isfile(file))
    if not files:
        raise InputError(f'no file matches {str(given)!r}')
    return files


def count(sources: Iterable) -> int | None:
    """How many pictures there are, as far as videos say; None where that is not known beforehand."""
    if not isinstance(sources, Sequence):
        return None
    total = 0
    for source in sources:
        video = source
        if is_video(source):
            try:
                video = VideoSource(source)
            except InputError:
                continue
            video.close()
        total += video.frames if isinstance(video, VideoSource) else 1
    return total


def pictures(sources: Iterable, on_error: OnError | None = None) -> Iterator[Picture]:
    """Yield the pictures of all sources, one video after the other; files of one name in two folders get two names.

    Args:
        sources: paths, arrays and videos.
        on_error: called with a video that cannot be read, and the error; without it the error is raised.
    """
    taken: dict[str, int] = {}

    def unused(name: str) -> str:
        taken[name] = taken.get(name, 0) + 1
        return name if taken[name] == 1 else f'{name}_{taken[name]}'

    for source in sources:
        if not is_video(source) and not isinstance(source, VideoSource):
            picture = Picture.of(source)
            yield Picture(picture.image, unused(picture.name) if picture.name else '')
            continue
        try:
            video = source if isinstance(source, VideoSource) else VideoSource(source)
            name = unused(video.name)
            for number, frame in enumerate(video):
                yield Picture(frame, f'{name}/{number:08d}', video)
            video.close()
        except InputError as error:
            if on_error is None:
                raise
            on_error(source, error)


def read_palette(palette: str | os.PathLike | Sequence[Sequence[int]]) -> list[list[int]]:
    """Return colours: a list of them; or those of a data set, of a JSON file or of a `classes.txt`.

    Raises:
        InputError: what is given is none of these.
    """
    from mmseg.datasets.folder import read_classes
    from mmseg.utils import get_palette
    colors = palette
    if isinstance(palette, (str, os.PathLike)):
        path = Path(palette)
        if not path.is_file():
            try:
                return [list(color) for color in get_palette(str(palette))]
            except ValueError as error:
                raise InputError(f'the palette {str(palette)!r} is neither a file nor a data set: {error}') from error
        try:
            colors = (json.loads(path.read_text(encoding='utf-8')) if path.suffix == '.json' else
                      read_classes(path).get('palette'))
        except ValueError as error:
            raise InputError(f'cannot read the palette {path}: {error}') from error
    table = np.array(list(colors.values()) if isinstance(colors, dict) else colors or [], dtype=object)
    if table.ndim != 2 or table.shape[1] != 3 or not all(isinstance(v, (int, np.integer)) and 0 <= v < 256
                                                         for v in table.flat):
        raise InputError(f'a palette is a list of colours [red, green, blue] from 0 to 255, found {palette!r:.80}')
    return [[int(value) for value in color] for color in table]
