"""Pictures and labels, from the bytes that the owners publish to the bytes that are written.

Each function takes the content of a file and its name, for messages. Further arguments are plain values, so that
`functools.partial` makes something of it that travels between processes.
"""
from __future__ import annotations

import io
from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
from PIL import Image

from mmseg.utils.errors import InputError

# Aerial pictures are larger than what Pillow takes for an attack.
Image.MAX_IMAGE_PIXELS = None
MOST_UNKNOWN = 0.01  # of the pixels of a colour label; a few have been blurred by an editor


def open_image(content: bytes, where: str) -> Image.Image:
    """Open a picture; its size is known, its pixels are not read yet."""
    try:
        return Image.open(io.BytesIO(content))
    except (OSError, SyntaxError) as error:
        raise InputError(f'{where}: found bytes that begin with {content[:12]!r}, expected a picture: '
                         'fetch the archive again') from error


def _pixels(content: bytes, where: str, modes: Sequence[str], mode: str) -> np.ndarray:
    image = open_image(content, where)
    try:
        return np.asarray(image if image.mode in modes else image.convert(mode))
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f'{where}: found a damaged {image.format} picture ({error}): fetch the archive again'
                         ) from error


def colours(content: bytes, where: str) -> np.ndarray:
    """Decode a picture: (H, W, 3), RGB."""
    return _pixels(content, where, ('RGB',), 'RGB')


def ids(content: bytes, where: str) -> np.ndarray:
    """Decode labels that are stored as numbers: (H, W); a palette file gives its indices."""
    mode = open_image(content, where).mode
    if mode not in ('L', 'P'):
        raise InputError(f'{where}: found a picture of the mode {mode}, expected labels in one band of 8 bits')
    return _pixels(content, where, ('L', 'P'), 'L')


def mapped(content: bytes, where: str, table: bytes) -> np.ndarray:
    """Decode labels and replace each by the value at its place in `table`."""
    return np.frombuffer(table, np.uint8)[ids(content, where)]


def above(content: bytes, where: str, threshold: int = 128) -> np.ndarray:
    """Decode a drawing in black and white, perhaps a little grey: 1 where it is at least `threshold`."""
    return (_pixels(content, where, ('L',), 'L') >= threshold).astype(np.uint8)


@lru_cache(maxsize=1)
def _colour_table(palette: tuple[tuple[int, int, int], ...]) -> np.ndarray:
    """The label of each of the 2^24 colours, 255 for those that have none."""
    table = np.full(1 << 24, 255, np.uint8)
    for label, (red, green, blue) in enumerate(palette):
        table[red << 16 | green << 8 | blue] = label
    return table


def painted(content: bytes, where: str, palette: tuple[tuple[int, int, int], ...], other: int) -> np.ndarray:
    """Decode labels that are painted in colours.

    Args:
        content: the file.
        where: its name.
        palette: the colour of each label.
        other: what the few pixels of no such colour become.

    Raises:
        InputError: more than one in a hundred pixels have another colour.
    """
    picture = colours(content, where)
    keys = np.left_shift(picture[..., 0], 16, dtype=np.uint32)
    keys |= np.left_shift(picture[..., 1], 8, dtype=np.uint32)
    keys |= picture[..., 2]
    label = _colour_table(palette)[keys]
    unknown = label == 255
    if unknown.mean() > MOST_UNKNOWN:
        found = [f'({key >> 16}, {key >> 8 & 255}, {key & 255})' for key in np.unique(keys[unknown])[:5].tolist()]
        raise InputError(f'{where}: {unknown.mean():.1%} of the pixels have colours that stand for no class, such as '
                         f'{", ".join(found)}; expected the {len(palette)} colours of the published labels: give the '
                         'archive of the labels')
    label[unknown] = other
    return label


def png(pixels: np.ndarray) -> bytes:
    """Encode a picture (H, W, 3), RGB, quickly, or labels (H, W) in few bytes."""
    if pixels.ndim == 3:
        return cv2.imencode('.png', pixels[..., ::-1])[1].tobytes()
    return cv2.imencode('.png', pixels, [cv2.IMWRITE_PNG_COMPRESSION, 6])[1].tobytes()


def jpeg(pixels: np.ndarray) -> bytes:
    """Encode a picture with little loss: quality 95, colours at full resolution."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, 'JPEG', quality=95, subsampling=0)
    return stream.getvalue()


def mat(content: bytes, where: str, *keys: str) -> np.ndarray:
    """Read an array of a MATLAB file, at the end of a path of keys."""
    from scipy.io import loadmat
    try:
        value = loadmat(io.BytesIO(content), simplify_cells=True)
        for key in keys:
            value = value[key]
    except Exception as error:  # a damaged file can fail in any way
        raise InputError(f'{where}: found no {"/".join(keys)} in a MATLAB file ({type(error).__name__}: {error}): '
                         'fetch the archive again') from error
    return np.asarray(value)


def picture_to_png(content: bytes, where: str) -> bytes:
    return png(colours(content, where))


def picture_to_jpeg(content: bytes, where: str) -> bytes:
    """Keep a JPEG file as it is; turn another picture into one."""
    return content if content[:2] == b'\xff\xd8' else jpeg(colours(content, where))


def drawing_to_png(content: bytes, where: str) -> bytes:
    return png(above(content, where))


def mapped_to_png(content: bytes, where: str, table: bytes) -> bytes:
    return png(mapped(content, where, table))


def painted_to_png(content: bytes, where: str, palette: tuple[tuple[int, int, int], ...], other: int) -> bytes:
    return png(painted(content, where, palette, other))


def mat_to_png(content: bytes, where: str, keys: tuple[str, ...], table: bytes) -> bytes:
    """Turn the labels of a MATLAB file into a PNG file, each replaced by the value at its place in `table`."""
    label = mat(content, where, *keys)
    if label.max(initial=0) >= len(table):
        raise InputError(f'{where}: found the label {label.max()}, expected at most {len(table) - 1}')
    return png(np.frombuffer(table, np.uint8)[label])


def table(new: dict[int, int], other: int, size: int = 256) -> bytes:
    """Make a table of labels: `new[old]`, or `other` for those that are not in `new`."""
    return bytes(new.get(old, other) for old in range(size))
