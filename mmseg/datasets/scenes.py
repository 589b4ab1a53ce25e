"""Small scenes with exact labels, composed from a seed: the data set that is there before any download.

The ground is cut into irregular regions of grass, gravel or brick, most with a sky above; a zebra, a cat, a cup and
a ball lie on it at any angle and hide one another. Every region and object gets a random tint, contrast and light,
so a pixel's colour tells little: a network has to learn textures and shapes.

The pictures come out of scikit-image's own wheel. All are CC0: *brick* and *gravel* (CC0Textures), *grass*
(linolafett), *chelsea*, the cat (Stefan van der Walt), *coffee*, the cup (Rachel Michetti) and *horse*, a silhouette
(Andreas Preuss). The sky, the ball and the stripes that make the horse a zebra are drawn.

Only operations that IEEE 754 rounds exactly (no `sin`, `pow` or matrix product) and numpy's frozen `RandomState` are
used, so a scene is the same, pixel by pixel, on every machine.
"""
from __future__ import annotations

import os
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path

import numpy as np

CLASSES = ('sky', 'grass', 'gravel', 'brick', 'zebra', 'cat', 'cup', 'ball')
PALETTE = ((110, 180, 240), (60, 150, 60), (150, 150, 150), (170, 80, 50),
           (120, 70, 160), (240, 170, 40), (240, 240, 220), (220, 40, 90))
SPLITS = {'train': 800, 'val': 100}
SIZE = 160
SKY, GRASS, GRAVEL, BRICK, ZEBRA, CAT, CUP, BALL = range(len(CLASSES))

# How many of its own pixels a ground advances from one pixel of the scene to the next.
_STEPS = {GRASS: (2, 2.6), GRAVEL: (0.7, 0.95), BRICK: (1.7, 2.4)}
# Ellipses (centre x, y, half axes) that cut the cup with its saucer, and the cat's face, out of their photographs.
_CUP_OUTLINE = ((279, 218, 201, 168), (292, 110, 116, 96))
_CAT_OUTLINE = ((182, 162, 142, 132),)


@lru_cache(maxsize=1)
def _photographs() -> dict[int, list[np.ndarray]]:
    """Each picture as a pyramid of halved sizes, H W 4 float32: red, green, blue in 0…1, and what belongs to it."""
    try:
        from skimage import data
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'the data set "scenes" is composed of photographs that come with scikit-image, which is not installed: '
            "pip install 'mmsegmentation[demo]' (or pip install scikit-image)") from error
    grounds = {GRASS: data.grass(), GRAVEL: data.gravel(), BRICK: data.brick()}
    layers = {label: _layer(picture, np.ones(picture.shape, bool)) for label, picture in grounds.items()}
    layers[CAT] = _layer(data.chelsea(), _inside(_CAT_OUTLINE, data.chelsea().shape))
    layers[CUP] = _layer(data.coffee(), _inside(_CUP_OUTLINE, data.coffee().shape))
    horse = ~data.horse()[:200, 190:]  # the forehand: legs and tail get lost in a small picture
    layers[ZEBRA] = _layer(horse.astype(np.uint8), horse)
    return {label: _pyramid(layer) for label, layer in layers.items()}


def _inside(ellipses: tuple, shape: tuple) -> np.ndarray:
    y, x = np.mgrid[:shape[0], :shape[1]].astype(np.float32)
    return np.any([((x - cx) / a)**2 + ((y - cy) / b)**2 < 1 for cx, cy, a, b in ellipses], axis=0)


def _layer(picture: np.ndarray, belongs: np.ndarray) -> np.ndarray:
    colour = picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)
    layer = np.dstack([colour.astype(np.float32) / 255, belongs.astype(np.float32)])
    rows, columns = np.flatnonzero(belongs.any(1)), np.flatnonzero(belongs.any(0))
    return layer[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1]


def _pyramid(layer: np.ndarray, levels: int = 4) -> list[np.ndarray]:
    pyramid = [layer]
    for _ in range(levels - 1):
        height, width = (side // 2 * 2 for side in pyramid[-1].shape[:2])
        even = pyramid[-1][:height, :width]
        pyramid.append((even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4)
    return pyramid


class _Painter:
    """One scene under way: the random numbers, the image (H W 3, 0…1) and its labels (H W)."""

    def __init__(self, rng: np.random.RandomState, size: int):
        self.rng, self.size = rng, size
        self.y, self.x = np.mgrid[:size, :size].astype(np.float32) / size
        self.image = np.zeros((size, size, 3), np.float32)
        self.labels = np.zeros((size, size), np.uint8)

    def between(self, low: float, high: float) -> float:
        return float(low + (high - low) * self.rng.random_sample())

    def colour(self, low: float, high: float) -> np.ndarray:
        return (low + (high - low) * self.rng.random_sample(3)).astype(np.float32)

    def smooth(self, cells: int) -> np.ndarray:
        """A field in 0…1 that varies smoothly, `cells` bumps wide: H W."""
        knots = self.rng.random_sample((cells + 1, cells + 1)).astype(np.float32)
        place = np.arange(self.size, dtype=np.float32) * (cells / self.size)
        low = place.astype(np.intp)
        part = place - np.floor(place)
        part = part * part * (3 - 2 * part)
        rows = knots[low] + (knots[low + 1] - knots[low]) * part[:, None]
        return rows[:, low] + (rows[:, low + 1] - rows[:, low]) * part[None]

    def irregular(self) -> np.ndarray:
        """A field whose level lines are irregular: broad shapes with finer detail."""
        return self.smooth(2) + self.smooth(6) / 12

    def turned(self, x: float = 0, y: float = 0) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates about (x, y), turned by a random angle: a rational point of the circle, not sine and cosine."""
        half = self.between(-1, 1)
        cosine, sine = (1 - half * half) / (1 + half * half), 2 * half / (1 + half * half)
        if self.rng.random_sample() < 0.5:
            cosine, sine = -cosine, -sine
        x, y = self.x - (0.5 + x), self.y - (0.5 + y)
        return cosine * x - sine * y, sine * x + cosine * y

    def look_up(self, pyramid: list[np.ndarray], x: np.ndarray, y: np.ndarray, step: float) -> np.ndarray:
        """Sample a picture at (x, y), in its pixels, `step` of which make one of ours; mirrored beyond its edge."""
        level = min(sum(step >= limit for limit in (1.5, 3, 6)), len(pyramid) - 1)
        picture = pyramid[level]
        columns, rows = (
            _mirror(np.floor(place / 2**level).astype(np.intp), side)
            for place, side in ((x, picture.shape[1]), (y, picture.shape[0])))
        return picture[rows, columns]

    def tint(self, colour: np.ndarray) -> np.ndarray:
        """Change contrast, light and hue at random, so that these do not tell what a thing is."""
        contrast, light = self.between(1, 1.3), self.between(0.4, 0.58)
        grey = (colour[..., :1] + colour[..., 1:2] + colour[..., 2:]) / 3
        muted = grey + 0.6 * (colour[..., self.rng.permutation(3)] - grey)
        return (light + contrast * (muted - 0.45)) * self.colour(0.7, 1.3)

    def paint(self, label: int, where: np.ndarray, colour: np.ndarray) -> None:
        self.image[where] = colour[where]
        self.labels[where] = label

    def ground(self) -> None:
        """Cut the plane into regions of two textures."""
        kinds = self.rng.permutation([GRASS, GRAVEL, BRICK])[:2]
        owner = np.argmax([self.irregular() for _ in kinds], axis=0)
        for place, label in enumerate(kinds):
            step = self.between(*_STEPS[label])
            x, y = self.turned()
            shift = self.between(0, 512), self.between(0, 512)
            texture = self.look_up(_photographs()[label], x * self.size * step + shift[0],
                                   y * self.size * step + shift[1], step)
            self.paint(label, owner == place, self.tint(texture[..., :3]))

    def sky(self) -> None:
        """Put a clouded sky above an uneven horizon."""
        horizon = self.between(0.18, 0.5) + (self.irregular() - 0.7) * self.between(0.05, 0.35)
        clear, cloud = self.colour(0.35, 0.9), self.colour(0.6, 1)
        cover = np.clip(self.irregular() * self.between(0.8, 1.6) - self.between(0.3, 0.9), 0, 1)[..., None]
        fade = (1 - self.between(0, 0.4) * self.y)[..., None]
        self.paint(SKY, self.y < horizon, (clear + (cloud - clear) * cover) * fade)

    def thing(self, label: int, quarter: int) -> None:
        """Lay a cut-out or drawn object about a quarter of the scene, turned and scaled."""
        extent = self.between(0.44, 0.58)
        centre = [self.between(-0.06, 0.06) + (0.25 if far else -0.25) for far in (quarter & 1, quarter & 2)]
        x, y = (place / extent for place in self.turned(*centre))
        if label == BALL:
            self.paint(BALL, x * x + y * y < 0.25, self.ball(2 * x, 2 * y))
            return
        height, width = _photographs()[label][0].shape[:2]
        column, row = x * max(height, width) + width / 2, y * max(height, width) + height / 2
        texture = self.look_up(_photographs()[label], column, row, max(height, width) / (extent * self.size))
        belongs = (texture[..., 3] > 0.5) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
        self.paint(label, belongs, self.stripes(x, y) if label == ZEBRA else self.tint(texture[..., :3]))

    def stripes(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """A zebra's coat: wavy stripes of two colours."""
        dark, bright = self.colour(0, 0.4), self.colour(0.45, 1)
        wave = x * self.between(7, 10) + y * self.between(-4, 4) + self.smooth(5)
        coat = np.where((wave - np.floor(wave) < 0.5)[..., None], dark, bright)
        return coat * (1 - self.between(0, 0.8) * y)[..., None]

    def ball(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """A ball of two colours under a lamp: the usual cosine law on the normal (x, y, z)."""
        z = np.sqrt(np.clip(1 - x * x - y * y, 0, 1))
        lamp = self.between(-0.6, 0.6), self.between(-0.6, 0.6)
        light = np.clip(lamp[0] * x + lamp[1] * y + 0.8 * z, 0, 1) + 0.15
        band = np.abs(x * self.between(-1, 1) + z * self.between(-1, 1)) < self.between(0.1, 0.4)
        return np.where(band[..., None], self.colour(0.2, 1), self.colour(0.2, 1)) * light[..., None]

    def expose(self) -> np.ndarray:
        """Light the scene unevenly, blur it a little, add noise and return uint8 pixels."""
        slope = self.between(-0.3, 0.3), self.between(-0.3, 0.3)
        light = (1 + slope[0] * (self.x - 0.5) + slope[1] * (self.y - 0.5))[..., None]
        image = self.image * light * (0.85 + 0.3 * self.smooth(2))[..., None]
        blur = self.between(0, 0.1)
        for axis in (0, 1):
            before, after = (np.roll(image, shift, axis) for shift in (1, -1))
            image = image * (1 - 2 * blur) + (before + after) * blur
        noise = self.rng.random_sample((2, *image.shape)).astype(np.float32)
        image = image + (noise[0] + noise[1] - 1) * self.between(0.01, 0.045)
        return np.clip(np.floor(image * 255 + 0.5), 0, 255).astype(np.uint8)


def _mirror(index: np.ndarray, side: int) -> np.ndarray:
    index = index % (2 * side)
    return np.where(index < side, index, 2 * side - 1 - index)


def compose_scene(split: str, index: int, size: int = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """Compose one scene: an RGB image, H W 3, and its labels, H W, both uint8.

    Args:
        split: `train` or `val`; the two share no seed.
        index: which scene; any number from 0.
        size: side of the square, in pixels.
    """
    if split not in SPLITS:
        raise ValueError(f'there is no split {split!r} of the scenes: choose one of {", ".join(SPLITS)}')
    painter = _Painter(np.random.RandomState([list(SPLITS).index(split), index]), size)
    painter.ground()
    if painter.rng.random_sample() < 0.7:
        painter.sky()
    things = painter.rng.permutation([ZEBRA, CAT, CUP, BALL])
    quarters = painter.rng.permutation(4)
    for label, quarter in list(zip(things, quarters))[:1 + int(painter.between(0, 3))]:
        painter.thing(label, quarter)
    return painter.expose(), painter.labels


def write_scenes(folder: str | os.PathLike, counts: dict[str, int] | None = None) -> Path:
    """Write the scenes as a user's own data would lie: `images/{train,val}`, `masks/{train,val}`, `classes.txt`.

    The folder appears only when it is complete, so an interrupted run, or several processes at once, do no harm.

    Args:
        folder: where to put them; left as it is where it exists.
        counts: how many scenes of each split; 800 for training and 100 for validation by default.
    """
    from PIL import Image
    folder = Path(folder)
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    growing = Path(tempfile.mkdtemp(prefix=f'.{folder.name}-', dir=folder.parent))
    growing.chmod(0o755)
    try:
        for split, count in (counts or SPLITS).items():
            for part in ('images', 'masks'):
                (growing / part / split).mkdir(parents=True)
            for index in range(count):
                image, labels = compose_scene(split, index)
                Image.fromarray(image).save(growing / 'images' / split / f'{index:04d}.png')
                Image.fromarray(labels).save(growing / 'masks' / split / f'{index:04d}.png')
        lines = (f'{name} {r} {g} {b}\n' for name, (r, g, b) in zip(CLASSES, PALETTE))
        (growing / 'classes.txt').write_text(''.join(lines), encoding='utf-8')
        try:
            growing.rename(folder)
        except OSError:
            if not folder.is_dir():  # otherwise another process was first, with the same scenes
                raise
    finally:
        shutil.rmtree(growing, ignore_errors=True)
    return folder
