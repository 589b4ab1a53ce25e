"""Put parts of other images, of the depth map or of one colour into an image."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mmcv.transforms.utils import cache_randomness
from numpy import random

from mmseg.registry import TRANSFORMS

from .base import Transform, check, check_probability
from .resampling import resize_array


@TRANSFORMS.register_module()
class RandomCutOut(Transform):
    """Fill rectangles of the image with one colour (Cutout, https://arxiv.org/abs/1708.04552).

    Args:
        prob: probability that any are cut out.
        n_holes: how many, or the range (fewest, most) to draw their number from.
        cutout_shape: (width, height) of a rectangle, or a list of such to draw from.
        cutout_ratio: the same as shares of the image's width and height; give one of the two.
        fill_in: colour.
        seg_fill_in: label of the rectangles; None leaves the labels.
    """

    def __init__(self, prob: float, n_holes: int | tuple[int, int],
                 cutout_shape: tuple[int, int] | list[tuple[int, int]] | None = None,
                 cutout_ratio: tuple[float, float] | list[tuple[float, float]] | None = None,
                 fill_in: Sequence[float] = (0, 0, 0), seg_fill_in: int | None = None):
        check_probability(self, prob=prob)
        check((cutout_shape is None) != (cutout_ratio is None), self,
              f'cutout_shape={cutout_shape} and cutout_ratio={cutout_ratio}', 'one of the two')
        check(seg_fill_in is None or (isinstance(seg_fill_in, int) and 0 <= seg_fill_in <= 255), self,
              f'seg_fill_in={seg_fill_in}', 'a label from 0 to 255')
        self.prob = prob
        self.n_holes = (n_holes, n_holes) if isinstance(n_holes, int) else tuple(n_holes)
        check(len(self.n_holes) == 2 and 0 <= self.n_holes[0] <= self.n_holes[1], self, f'n_holes={n_holes}',
              'a number or (fewest, most)')
        self.with_ratio = cutout_ratio is not None
        candidates = cutout_ratio if self.with_ratio else cutout_shape
        self.candidates = candidates if isinstance(candidates, list) else [candidates]
        self.fill_in = fill_in
        self.seg_fill_in = seg_fill_in
        # What is printed is what the rectangles are drawn from.
        self.cutout_ratio = self.cutout_shape = self.candidates
        self.shown = ('prob', 'n_holes', 'cutout_ratio' if self.with_ratio else 'cutout_shape', 'fill_in',
                      'seg_fill_in')

    @cache_randomness
    def do_cutout(self) -> bool:
        """Draw whether to cut out."""
        return np.random.rand() < self.prob

    @cache_randomness
    def generate_patches(self, results: dict) -> tuple[int, list[int], list[int], list[int]]:
        """Draw the number of rectangles, their left edges, their top edges, and which candidate each is."""
        height, width = results['img'].shape[:2]
        count = np.random.randint(self.n_holes[0], self.n_holes[1] + 1)
        limits = (width, height, len(self.candidates))
        draws = [[np.random.randint(0, limit) for limit in limits] for _ in range(count)]
        lefts, tops, choices = map(list, zip(*draws)) if draws else ([], [], [])
        return count, lefts, tops, choices

    def transform(self, results: dict) -> dict:
        if not self.do_cutout():
            return results
        height, width = results['img'].shape[:2]
        _, lefts, tops, choices = self.generate_patches(results)
        # One value for all bands fits any number of them.
        fill = self.fill_in if len(set(self.fill_in)) > 1 else self.fill_in[0]
        for left, top, choice in zip(lefts, tops, choices):
            across, down = self.candidates[choice]
            if self.with_ratio:
                across, down = int(across * width), int(down * height)
            hole = slice(top, top + down), slice(left, left + across)
            results['img'][hole] = fill
            if self.seg_fill_in is not None:
                for key in results.get('seg_fields', []):
                    results[key][hole] = self.seg_fill_in
        return results


@TRANSFORMS.register_module()
class RandomMosaic(Transform):
    """Join four images at a random point (YOLOv4, https://arxiv.org/abs/2004.10934); for `MultiImageMixDataset`.

    ```
                 center_x
        +----------+-----------+     The canvas is twice `img_scale` high and wide. Each image, resized to fit
        |  image   | other 1   |     `img_scale`, touches the centre with one corner; what reaches beyond the
        +----------+-----------+     canvas is cut off, what stays empty gets the pad values.
        |  other 2 | other 3   |
        +----------+-----------+ center_y
    ```

    Args:
        prob: probability.
        img_scale: (height, width) that each image is resized to fit into.
        center_ratio_range: range of the centre's place, in units of `img_scale`.
        pad_val: value of the canvas.
        seg_pad_val: label of the canvas.
    """

    def __init__(self, prob: float, img_scale: tuple[int, int] = (640, 640),
                 center_ratio_range: tuple[float, float] = (0.5, 1.5), pad_val: float = 0, seg_pad_val: int = 255):
        check_probability(self, prob=prob)
        check(len(img_scale) == 2, self, f'img_scale={img_scale}', 'a height and a width')
        self.prob = prob
        self.img_scale = img_scale
        self.center_ratio_range = center_ratio_range
        self.pad_val = pad_val
        self.seg_pad_val = seg_pad_val

    def get_indices(self, dataset: Sequence) -> list[int]:
        """Draw the other three images; :class:`MultiImageMixDataset` puts them into `mix_results`."""
        return [random.randint(0, len(dataset)) for _ in range(3)]

    @cache_randomness
    def do_mosaic(self) -> bool:
        """Draw whether to mix."""
        return np.random.rand() < self.prob

    @cache_randomness
    def generate_mosaic_center(self) -> tuple[int, int]:
        """Draw the point (x, y) where the four images meet."""
        height, width = self.img_scale
        return tuple(int(random.uniform(*self.center_ratio_range) * length) for length in (width, height))

    def transform(self, results: dict) -> dict:
        if not self.do_mosaic():
            return results
        others = results.get('mix_results', ())
        check(len(others) == 3, self, f'{len(others)} images in mix_results',
              '3: use it in the pipeline of a MultiImageMixDataset')
        center = self.generate_mosaic_center()
        parts = (results, *others)
        labels = {key: self._join([part[key] for part in parts], center, 'nearest', self.seg_pad_val)
                  for key in results.get('seg_fields', [])}
        results['img'] = self._join([part['img'] for part in parts], center, 'bilinear', self.pad_val)
        results['img_shape'] = results['img'].shape
        results.update(labels)
        return results

    def _join(self, parts: Sequence[np.ndarray], center: tuple[int, int], interpolation: str,
              pad_value: float) -> np.ndarray:
        """Paste four arrays, in the order of reading, around (x, y) on a canvas."""
        height, width = (2 * int(length) for length in self.img_scale)
        canvas = np.full((height, width, *parts[0].shape[2:]), pad_value, parts[0].dtype)
        quarters = [(rows, columns) for rows in self._halves(center[1]) for columns in self._halves(center[0])]
        for part, (rows, columns) in zip(parts, quarters):
            scale = min(self.img_scale[0] / part.shape[0], self.img_scale[1] / part.shape[1])
            part = resize_array(part, (int(part.shape[1] * scale), int(part.shape[0] * scale)), interpolation)
            (to_rows, from_rows), (to_columns, from_columns) = (
                self._overlap(*place, length, limit)
                for place, length, limit in zip((rows, columns), part.shape, canvas.shape))
            canvas[to_rows, to_columns] = part[from_rows, from_columns]
        return canvas

    @staticmethod
    def _halves(center: int) -> tuple[tuple[int, bool], tuple[int, bool]]:
        return (center, True), (center, False)

    @staticmethod
    def _overlap(center: int, before: bool, length: int, limit: int) -> tuple[slice, slice]:
        """Where `length` pixels that end (`before`) or begin at the centre lie on an axis, and which of them fit."""
        start = center - length if before else center
        first, last = max(start, 0), min(start + length, limit)
        return slice(first, last), slice(first - start, last - start)


@TRANSFORMS.register_module()
class RandomDepthMix(Transform):
    """Replace a vertical strip of the image by the depth map (CutDepth, https://arxiv.org/abs/2107.07684).

    Args:
        prob: probability.
        mix_scale_ratio: most of what lies to the right of the strip's left edge that it covers.
    """

    def __init__(self, prob: float = 0.25, mix_scale_ratio: float = 0.75):
        check_probability(self, prob=prob)
        self.prob = prob
        self.mix_scale_ratio = mix_scale_ratio

    def transform(self, results: dict) -> dict:
        if random.random() > self.prob:
            return results
        image, depth = results['img'], results['gt_depth_map']
        check(image.shape[:2] == depth.shape[:2], self, f'a depth map of {depth.shape[:2]} for an image of '
              f'{image.shape[:2]}', 'equal sizes')
        width = image.shape[1]
        left = random.random() * width
        strip = max((width - left) * random.random() * self.mix_scale_ratio, 1)
        columns = slice(int(left), int(left) + int(strip))
        mixed = image.copy()
        mixed[:, columns] = depth[:, columns, None] if image.ndim == 3 else depth[:, columns]
        results['img'] = mixed
        return results
