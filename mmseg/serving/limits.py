"""What a server takes, and the answer to a request that asks for more."""
from __future__ import annotations

import io
from dataclasses import dataclass

from PIL import JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from mmseg.utils.errors import InputError

MIN_SIDE, MAX_SIDE = 8, 16384
# Pillow's readers are called by name: `Image.open` would try them all, and has a global limit of its own.
READERS = {'JPEG': JpegImagePlugin.JpegImageFile, 'PNG': PngImagePlugin.PngImageFile,
           'WebP': WebPImagePlugin.WebPImageFile}


class Refused(Exception):
    """A request that is not served.

    Args:
        status: of HTTP.
        sentence: what was found and what is expected.
        headers: of the answer.
    """

    def __init__(self, status: int, sentence: str, headers: dict[str, str] | None = None):
        super().__init__(sentence)
        self.status, self.sentence, self.headers = status, sentence, headers or {}


@dataclass(frozen=True)
class Limits:
    """What a server takes: `megabytes` and `images` in a request, `megapixels` of an image, images in work at once
    (`queue`), `seconds` that a request may take, `answer_megabytes` of probabilities."""

    megabytes: float = 32
    megapixels: float = 16
    images: int = 16
    queue: int = 64
    seconds: float = 30
    answer_megabytes: float = 256

    def __post_init__(self):
        for name, value in vars(self).items():
            if not value > 0:
                raise InputError(f'the limit {name} has to be above 0, found {value}')

    @property
    def bytes(self) -> int:
        return int(self.megabytes * 1e6)


def check_image(content: bytes, name: str, limits: Limits) -> tuple[int, int]:
    """Return width and height of an image, read from its first bytes: nothing is decoded.

    Raises:
        Refused: it is none of the known formats, broken off, or of a size that is not taken.
    """
    if not content:
        raise Refused(400, f'{name}: found nothing, expected an image')
    kind = _kind(content)
    if kind is None:
        raise Refused(415, f'{name}: found bytes that begin with {content[:12]!r}, expected an image: '
                           f'{", ".join(READERS)}')
    try:
        with READERS[kind](io.BytesIO(content)) as image:
            width, height = image.size
    except Exception as error:  # each reader has errors of its own
        raise Refused(422, f'{name}: found a damaged {kind} file of {len(content)} bytes, expected a whole one'
                      ) from error
    found = f'{name}: found {width} x {height} pixels'
    if width * height > limits.megapixels * 1e6 or max(width, height) > MAX_SIDE:
        raise Refused(413, f'{found}, expected at most {limits.megapixels:g} megapixels and {MAX_SIDE} a side: '
                           'send a smaller image, or parts of it')
    if min(width, height) < MIN_SIDE:
        raise Refused(422, f'{found}, expected at least {MIN_SIDE} a side')
    if kind == 'WebP' and int.from_bytes(content[4:8], 'little') + 8 > len(content):
        raise Refused(422, f'{name}: found a truncated WebP file of {len(content)} bytes, expected '
                           f'{int.from_bytes(content[4:8], "little") + 8}')
    return width, height


def _kind(content: bytes) -> str | None:
    if content.startswith(b'RIFF') and content[8:12] == b'WEBP':
        return 'WebP'
    return next((kind for start, kind in ((b'\xff\xd8\xff', 'JPEG'), (b'\x89PNG\r\n\x1a\n', 'PNG'))
                 if content.startswith(start)), None)
