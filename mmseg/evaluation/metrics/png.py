"""Predictions as PNG files, as evaluation servers take them."""
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np


def write_png(folder: str, img_path: str, values: np.ndarray, bits: int = 8) -> str:
    """Write whole numbers (H, W) as a grey PNG of 8 or 16 bits, named after the image.

    Returns:
        The absolute path of the file.
    """
    path = Path(folder).resolve() / f'{Path(img_path).stem}.png'
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), values.astype(np.uint8 if bits == 8 else np.uint16)):
        raise OSError(f'{path} could not be written')
    return str(path)
