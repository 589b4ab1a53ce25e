"""Reading and writing of pictures, with errors that name the file. Images are (H, W, 3) uint8 in RGB."""
from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np

from mmseg.utils.errors import InputError


def read_image(path: str | os.PathLike, backend_args: dict | None = None) -> np.ndarray:
    """Read an image from a path or an address.

    Raises:
        InputError: it does not exist or is not an image.
    """
    from mmseg.utils.imread import decode_image, read_file
    try:
        content = read_file(str(path), backend_args)
    except OSError as error:
        raise InputError(f'cannot read the image {path}: {error.strerror or error}') from error
    return cv2.cvtColor(decode_image(content, str(path)), cv2.COLOR_BGR2RGB)


def write_image(path: str | os.PathLike, image: np.ndarray) -> None:
    """Write an RGB image, or labels (H, W) in uint8 or uint16, in the format that the suffix says; make its folder.

    Raises:
        InputError: the place cannot be written, or the suffix is not a format of images.
    """
    path = Path(path)
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(path.suffix, image)[1])
    except OSError as error:
        raise InputError(f'cannot write the picture {path}: {error.strerror}') from error
    except cv2.error as error:
        raise InputError(f'cannot write the picture {path}: {path.suffix!r} is not a format of images; '
                         'use .png or .jpg') from error
