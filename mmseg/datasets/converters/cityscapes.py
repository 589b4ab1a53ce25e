"""Cityscapes (https://www.cityscapes-dataset.com): labels of the 19 classes that count, drawn from the polygons.

    mmseg convert-dataset cityscapes data/cityscapes --nproc 8

The folder holds `gtFine` and `leftImg8bit`, or the archives `gtFine_trainvaltest.zip` and
`leftImg8bit_trainvaltest.zip`, which are unpacked into it. Beside each `…_polygons.json` comes a `…_labelTrainIds.png`;
`train.txt`, `val.txt` and `test.txt` list the images.

The polygons are filled as the owners did, so the labels equal the published `…_labelIds.png` in every pixel. With
cityscapesscripts they differ in some 0.5 % of the pixels, as newer versions of Pillow fill polygons otherwise;
`--drawing pillow` does that too.
"""
from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from mmseg.datasets.converters.archives import Scratch
from mmseg.datasets.converters.codecs import png
from mmseg.datasets.converters.rules import Converter, Count, Plan, Rule
from mmseg.utils.errors import InputError

# What the polygons may be called besides the classes that count.
IGNORED = (
    'unlabeled', 'ego vehicle', 'rectification border', 'out of roi', 'static', 'dynamic', 'ground', 'parking',
    'rail track', 'guard rail', 'bridge', 'tunnel', 'polegroup', 'caravan', 'trailer')
NOT_DRAWN = 'license plate'  # what lies beneath shows
SPLITS = {'train': 2975, 'val': 500, 'test': 1525}


def fill_polygon(label: np.ndarray, points: np.ndarray, value: int) -> None:
    """Fill a polygon as the published labels are filled.

    A row is filled between the edges' crossings with its middle, from pixel ceil(x - 0.5) to pixel floor(x + 0.5) of
    each pair: a pixel that an edge cuts in half belongs to it on both sides.

    Args:
        label: (H, W); changed in place.
        points: (N, 2), x and y.
        value: what to fill with.
    """
    height, width = label.shape
    x0, y0 = points.T.astype(np.float64)
    x1, y1 = np.roll(points, -1, axis=0).T.astype(np.float64)
    top, bottom = max(int(y0.min()), 0), min(int(y0.max()), height)
    if top >= bottom:
        return
    steep = y0 != y1
    x0, y0, x1, y1 = (ends[steep] for ends in (x0, y0, x1, y1))
    middle = np.arange(top, bottom)[:, None] + 0.5                           # R 1
    crosses = (np.minimum(y0, y1) <= middle) & (middle < np.maximum(y0, y1))  # R E
    x = np.where(crosses, (middle - y0) * ((x1 - x0) / (y1 - y0)) + x0, np.inf)
    x = np.sort(x, axis=1)[:, :crosses.sum(1).max(initial=0)]                # R, an even number
    first = np.ceil(np.clip(x[:, ::2], 0, width) - 0.5).astype(np.intp).clip(0)
    last = np.floor(np.clip(x[:, 1::2], -1, width - 1) + 0.5).astype(np.intp)
    inside = np.isfinite(x[:, 1::2]) & (first <= last)
    change = np.zeros((bottom - top, width + 1), np.int16)
    rows = np.nonzero(inside)[0]
    np.add.at(change, (rows, first[inside]), 1)
    np.add.at(change, (rows, last[inside] + 1), -1)
    label[top:bottom][change.cumsum(1)[:, :width] > 0] = value


def fill_like_pillow(label: np.ndarray, points: np.ndarray, value: int) -> None:
    """Fill a polygon as the installed version of Pillow does."""
    from PIL import Image, ImageDraw
    image = Image.fromarray(label)
    ImageDraw.Draw(image).polygon([tuple(point) for point in points.tolist()], fill=value)
    label[:] = np.asarray(image)


FILL = {'owners': fill_polygon, 'pillow': fill_like_pillow}


def draw_labels(content: bytes, where: str, ids: Mapping[str, int], drawing: str = 'owners') -> np.ndarray:
    """Draw the polygons of one image, the later ones over the earlier.

    Args:
        content: the JSON file.
        where: its name.
        ids: the label of each name; a name with `group` behind it has the same.
        drawing: a key of `FILL`.

    Returns:
        Labels, (H, W), 255 where nothing counts.
    """
    try:
        scene = json.loads(content)
        label = np.full((scene['imgHeight'], scene['imgWidth']), 255, np.uint8)
        polygons = [(thing['label'], np.array(thing['polygon'], np.intp).reshape(-1, 2)) for thing in scene['objects']
                    if not thing.get('deleted')]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f'{where}: found no polygons as Cityscapes has them ({type(error).__name__}: {error}); '
                         'expected imgHeight, imgWidth and objects with label and polygon: fetch the archive again'
                         ) from error
    for name, points in polygons:
        known = name if name in ids else name.removesuffix('group')
        if known == NOT_DRAWN:
            continue
        if known not in ids:
            raise InputError(f'{where}: found a polygon of the unknown kind {name!r}; expected one of {", ".join(ids)}')
        if len(points):
            FILL[drawing](label, points, ids[known])
    return label


def polygons_to_png(content: bytes, where: str, ids: Mapping[str, int], drawing: str) -> bytes:
    return png(draw_labels(content, where, ids, drawing))


@dataclass(frozen=True)
class CityscapesConverter(Converter):
    """Converter that draws, and lists the images."""

    def rules_for(self, args: argparse.Namespace) -> tuple[Rule, ...]:
        from mmseg.datasets.cityscapes import CityscapesDataset
        ids = dict.fromkeys(IGNORED, 255)
        ids.update((name, label) for label, name in enumerate(CityscapesDataset.METAINFO['classes']))
        gt = args.gt_dir
        draw = partial(polygons_to_png, ids=ids, drawing=args.drawing)
        return (Rule(rf'({gt}/\w+/[^/]+/[^/]+)_polygons\.json', lambda match: f'{match[1]}_labelTrainIds.png', draw),)

    def plan(self, args: argparse.Namespace, scratch: Scratch) -> Plan:
        paths = self.paths_of(args)
        out_dir = self.output(args, paths)
        members = self.members(paths, scratch)
        drawn = self.tasks(members, out_dir, self.rules_for(args))
        packed = [member for member in members if os.path.isfile(member.container)]
        whole = Rule(rf'((?:{args.gt_dir}|leftImg8bit)/\w+/[^/]+/[^/]+\.(?:json|png))', lambda match: match[1])
        plan = Plan(out_dir, self.tasks(packed, out_dir, (whole,)) + drawn, counts=counts(args.gt_dir))
        end = f'_{os.path.basename(args.gt_dir)}_labelTrainIds.png'
        for split in SPLITS:
            root = os.path.join(out_dir, args.gt_dir, split, '')
            names = sorted(task.target.removeprefix(root).removesuffix(end) for task in drawn
                           if task.target.startswith(root))
            if names:
                plan.texts[os.path.join(out_dir, f'{split}.txt')] = names
        return plan


def counts(gt_dir: str) -> tuple[Count, ...]:
    suffix = f'_{os.path.basename(gt_dir)}_labelTrainIds.png'
    return (
        *(Count(f'leftImg8bit/{split}', number, '_leftImg8bit.png', optional=True) for split, number in SPLITS.items()),
        *(Count(f'{gt_dir}/{split}', number, suffix, f'{gt_dir}_trainvaltest.zip', split == 'test',
                (f'leftImg8bit/{split}', '_leftImg8bit.png')) for split, number in SPLITS.items()))


CONVERTER = CityscapesConverter(
    counts=counts('gtFine'),
    expects='the folder in which gtFine and leftImg8bit lie, or their archives',
    out_dir=None,
    archives=r'(gtFine|leftImg8bit)_trainvaltest\.zip|gtCoarse\.zip|leftImg8bit_trainextra\.zip',
    options={
        ('--gt-dir', '--gt_dir'): dict(default='gtFine', metavar='DIR', help='the folder of the polygons (gtFine)'),
        ('--drawing',): dict(choices=tuple(FILL), default='owners', help='how polygons are filled (owners)'),
    })
