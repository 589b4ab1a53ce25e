"""Pictures of labels: pure functions on NumPy arrays. Images are (H, W, 3) uint8 in RGB, labels (H, W) integers."""
from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

FONT = cv2.FONT_HERSHEY_SIMPLEX
MARGIN = 4
# Names are placed on a coarse copy of the labels: exact centres are not worth a search over two million pixels.
COARSE_SIDE = 256
# Panels smaller than this are enlarged, so that their titles and the legend can be read.
READABLE_SIDE = 240


def distinct_colors(count: int) -> list[list[int]]:
    """Make up colours for classes without any: those of Pascal VOC, in which the bits of the number are spread."""
    def color(number: int) -> list[int]:
        return [sum(((number >> 3 * bit + channel) & 1) << (7 - bit) for bit in range(6)) for channel in range(3)]
    return [color(number + 1) for number in range(count)]  # number 0 is black, the colour of ignored pixels


def color_table(palette: Sequence[Sequence[int]]) -> np.ndarray:
    """Return colours by label, (65536, 3) uint8: those of the palette, and black for every label beyond it."""
    table = np.zeros((1 << 16, 3), np.uint8)
    table[:len(palette)] = palette
    return table


def color_labels(labels: np.ndarray, palette: Sequence[Sequence[int]]) -> np.ndarray:
    """Paint labels in the colours of a palette; labels outside of it (ignored pixels) become black."""
    return np.take(color_table(palette), labels.astype(np.uint16, copy=False), axis=0)


def overlay_labels(image: np.ndarray, labels: np.ndarray, palette: Sequence[Sequence[int]],
                   alpha: float) -> np.ndarray:
    """Paint labels over an image: `alpha` 0 is the image alone, 1 the colours alone."""
    return cv2.addWeighted(image, 1 - alpha, color_labels(labels, palette), alpha, 0)


def color_depth(depth: np.ndarray) -> np.ndarray:
    """Paint a depth map (H, W): far is yellow, near is purple; depths that are not finite or not positive are black."""
    known = np.isfinite(depth) & (depth > 0)
    if not known.any():
        return np.zeros((*depth.shape, 3), np.uint8)
    near, far = depth[known].min(), depth[known].max()
    scaled = np.where(known, depth - near, 0) * (255 / max(far - near, 1e-6))
    picture = cv2.applyColorMap(scaled.astype(np.uint8), cv2.COLORMAP_PLASMA)
    return np.where(known[..., None], picture[..., ::-1], 0).astype(np.uint8)


def overlay_heat(image: np.ndarray, heat: np.ndarray, alpha: float) -> np.ndarray:
    """Paint a map (h, w) of any range and size over an image: small is blue, large is red."""
    heat = cv2.resize(heat, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    low, high = float(heat.min()), float(heat.max())
    scaled = (heat - low) * (255 / max(high - low, 1e-12))
    colors = cv2.applyColorMap(scaled.astype(np.uint8), cv2.COLORMAP_JET)[..., ::-1]
    return cv2.addWeighted(image, 1 - alpha, np.ascontiguousarray(colors), alpha, 0)


def grid(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Put pictures of one size beside and below each other, in a nearly square arrangement."""
    columns = int(np.ceil(len(pictures) ** 0.5))
    empty = [np.full_like(pictures[0], 255)] * (-len(pictures) % columns)
    rows = [*pictures, *empty]
    return np.concatenate([np.concatenate(rows[i:i + columns], axis=1) for i in range(0, len(rows), columns)])


def write_text(picture: np.ndarray, text: str, corner: tuple[int, int], color: Sequence[int], scale: float) -> None:
    """Write text into a box of a colour, in place; `corner` is the left upper corner of the box, x and y in pixels."""
    (width, height), baseline = cv2.getTextSize(text, FONT, scale, 1)
    x, y = corner
    cv2.rectangle(picture, (x, y), (x + width + MARGIN, y + height + baseline), tuple(map(int, color)), -1)
    ink = (0, 0, 0) if np.dot(color, (0.299, 0.587, 0.114)) > 128 else (255, 255, 255)
    cv2.putText(picture, text, (x + MARGIN // 2, y + height + baseline // 2), FONT, scale, ink, 1, cv2.LINE_AA)


def text_scale(height: int, width: int) -> float:
    """Return a size of letters (1 is about 22 pixels) that suits a picture."""
    return float(np.clip(min(height, width) / 900, 0.4, 1.5))


def write_names(picture: np.ndarray, labels: np.ndarray, classes: Sequence[str],
                palette: Sequence[Sequence[int]]) -> None:
    """Write the name of each class into the middle of its largest region, in place."""
    height, width = labels.shape
    step = max(1, -(-max(height, width) // COARSE_SIDE))
    coarse = labels[::step, ::step]
    scale = text_scale(height, width)
    for label in np.unique(coarse):
        if label >= len(classes):
            continue
        x, y = (step * side for side in _middle_of_largest_region(coarse == label))
        (text_width, text_height), _ = cv2.getTextSize(classes[label], FONT, scale, 1)
        left = np.clip(x - text_width // 2, 0, max(0, width - text_width - MARGIN))
        top = np.clip(y - text_height // 2, 0, max(0, height - 2 * text_height))
        write_text(picture, classes[label], (int(left), int(top)), palette[label], scale)


def _middle_of_largest_region(mask: np.ndarray) -> tuple[int, int]:
    """Return x and y of the pixel that lies deepest inside the largest connected part of a mask."""
    _, parts, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    largest = 1 + stats[1:, cv2.CC_STAT_AREA].argmax()
    region = np.pad(parts == largest, 1).astype(np.uint8)  # the border of the image is a border of the region
    _, _, _, deepest = cv2.minMaxLoc(cv2.distanceTransform(region, cv2.DIST_L1, 3))
    return deepest[0] - 1, deepest[1] - 1


def side_by_side(panels: dict[str, np.ndarray], legend: Sequence[tuple[str, Sequence[int]]] = ()) -> np.ndarray:
    """Put pictures of one size beside each other, each below its title, above a legend of (name, colour)."""
    factor = -(-READABLE_SIDE // min(next(iter(panels.values())).shape[:2]))
    panels = {title: panel.repeat(factor, 0).repeat(factor, 1) for title, panel in panels.items()}
    height, width = next(iter(panels.values())).shape[:2]
    scale = text_scale(height, width)
    line = int(30 * scale) + 2 * MARGIN
    gap = np.full((height + line, MARGIN, 3), 255, np.uint8)
    columns = []
    for title, panel in panels.items():
        head = np.full((line, width, 3), 255, np.uint8)
        write_text(head, title, (0, MARGIN), (255, 255, 255), scale)
        columns += [gap, np.concatenate([head, panel])]
    picture = np.concatenate(columns[1:], axis=1)
    return np.concatenate([picture, draw_legend(legend, picture.shape[1], scale)])


def draw_legend(legend: Sequence[tuple[str, Sequence[int]]], width: int, scale: float) -> np.ndarray:
    """Write names in boxes of their colours, in as many lines as a picture of this width needs."""
    line = int(30 * scale) + 2 * MARGIN
    x, y, places = 0, MARGIN, []
    for name, color in legend:
        box = cv2.getTextSize(name, FONT, scale, 1)[0][0] + 3 * MARGIN
        if x and x + box > width:
            x, y = 0, y + line
        places.append((name, (x, y), color))
        x += box
    picture = np.full((y - MARGIN + line if places else 0, width, 3), 255, np.uint8)
    for name, corner, color in places:
        write_text(picture, name, corner, color, scale)
    return picture
