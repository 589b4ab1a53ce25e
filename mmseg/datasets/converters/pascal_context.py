"""PASCAL Context (https://cs.stanford.edu/~roozbeh/pascal-context): 60 of its 459 classes for the images of VOC 2010.

    mmseg convert-dataset pascal_context data/VOCdevkit data/VOCdevkit/VOC2010/trainval_merged.json

The first path is the devkit with `VOC2010` in it, or with `VOCtrainval_03-May-2010.tar`, which is unpacked there. The
second is `trainval_merged.json`, the masks that the package `detail` reads (it is not needed), or `trainval.tar.gz`,
the owners' labels in MATLAB files. The labels go to `VOC2010/SegmentationClassContext`, the lists to
`VOC2010/ImageSets/SegmentationContext`.
"""
from __future__ import annotations

import json
import os
from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from mmseg.datasets.converters.archives import Member, Scratch, list_members, read_list
from mmseg.datasets.converters.codecs import mat_to_png, png, table
from mmseg.datasets.converters.devkit import DevkitConverter
from mmseg.datasets.converters.rules import Count, Rule
from mmseg.datasets.converters.tasks import Task
from mmseg.utils.errors import InputError

# The numbers, among all 459, of the 59 classes in the order of `PascalContextDataset`; the others are background.
CLASSES = (
    2, 9, 18, 19, 22, 23, 25, 31, 33, 34, 44, 45, 46, 59, 65, 68, 72, 80, 85, 98, 104, 105, 113, 115, 144, 158, 159,
    162, 187, 189, 207, 220, 232, 258, 259, 260, 284, 295, 296, 308, 324, 326, 347, 349, 354, 355, 360, 366, 368, 397,
    415, 416, 420, 424, 427, 440, 445, 454, 458)
TABLE = table({old: new for new, old in enumerate(CLASSES, 1)}, other=0, size=460)
SPLITS = {'train': 4998, 'val': 5105}


@dataclass(frozen=True)
class Regions:
    """The labelled regions of one image, as a source of a task: (number of the class, mask) pairs."""

    name: str
    height: int
    width: int
    masks: tuple[tuple[int, dict[str, Any]], ...]
    size: int = 20_000  # of the label file, about

    def __str__(self) -> str:
        return f'trainval_merged.json, {self.name}'

    def read(self) -> Regions:
        return self


def runs_of(counts: str | bytes | list[int]) -> np.ndarray:
    """Return the lengths of the runs of a mask in COCO's format: outside and inside by turns, column by column.

    In the short form each length takes characters of 5 bits, lowest first, from character 48; bit 6 says that more
    follow, and the last one's bit 5 is the sign. From the fourth on, a length is the difference to the last but one.
    """
    if isinstance(counts, list):
        return np.array(counts, np.int64)
    code = np.frombuffer(counts.encode() if isinstance(counts, str) else counts, np.uint8).astype(np.int64) - 48
    if code.size == 0:
        return code
    ends = np.flatnonzero(code & 32 == 0)
    begins = np.concatenate([[0], ends[:-1] + 1])
    length = ends - begins + 1
    place = np.arange(len(code)) - np.repeat(begins, length)
    runs = np.add.reduceat((code & 31) << 5 * place, begins)
    runs -= np.where(code[ends] & 16, 1 << 5 * length, 0)
    for parity in (1, 2):
        runs[parity::2] = np.cumsum(runs[parity::2])
    return runs


def draw_regions(regions: Regions, where: str) -> bytes:
    """Draw the regions of an image, the later ones over the earlier, as labels from 0 to 59."""
    label = np.zeros(regions.width * regions.height, np.uint8)
    numbers = np.frombuffer(TABLE, np.uint8)
    for number, mask in regions.masks:
        runs = runs_of(mask['counts'])
        if (runs < 0).any() or runs.sum() != label.size or not 0 <= number < len(numbers):
            raise InputError(f'{where}: found a mask of class {number} with {runs.sum():,} pixels, expected a class up '
                             f'to {len(numbers) - 1} and {label.size:,} pixels: fetch trainval_merged.json again')
        inside = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
        label[inside] = numbers[number]
    return png(np.ascontiguousarray(label.reshape(regions.width, regions.height).T))


@dataclass(frozen=True)
class ContextConverter(DevkitConverter):
    """Converter of masks in JSON, or of labels in MATLAB files."""

    def labels(self, path: str, devkit: list[Member], folder: str, scratch: Scratch
               ) -> tuple[list[Task], dict[str, list[str]]]:
        if path.endswith('.json') and os.path.isfile(path):
            return self.from_json(path, folder)
        return self.from_mat(list_members(path, scratch, self.label_archive), devkit, folder)

    def from_json(self, path: str, folder: str) -> tuple[list[Task], dict[str, list[str]]]:
        """Return the tasks and the names of each split."""
        try:
            with open(path, encoding='utf-8') as file:
                content = json.load(file)
            masks = defaultdict(list)
            for region in content['annos_segmentation']:
                masks[region['image_id']].append((int(region['category_id']), region['segmentation']))
            images = [(image['phase'], os.path.splitext(image['file_name'])[0], image) for image in content['images']]
            images = [(phase, Regions(name, image['height'], image['width'], tuple(masks[image['image_id']])))
                      for phase, name, image in images if phase in SPLITS]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f'{path} is not the JSON file of PASCAL Context ({type(error).__name__}: {error}); '
                             'expected images (image_id, file_name, phase, height, width) and annos_segmentation '
                             '(image_id, category_id, segmentation): fetch it again') from error
        tasks = [Task(regions, os.path.join(folder, f'{regions.name}.png'), draw_regions) for _, regions in images]
        return tasks, {split: [regions.name for phase, regions in images if phase == split] for split in SPLITS}

    def from_mat(self, labels: list[Member], devkit: list[Member], folder: str
                 ) -> tuple[list[Task], dict[str, list[str]]]:
        """Return the tasks and, of the images of each split of VOC 2010, the names of those that have labels."""
        rule = Rule(r'trainval/(\d{4}_\d{6})\.mat', lambda match: f'{match[1]}.png',
                    partial(mat_to_png, keys=('LabelMap',), table=TABLE), growth=2)
        tasks = self.tasks(labels, folder, (rule,))
        labelled = {os.path.splitext(os.path.basename(task.target))[0] for task in tasks}
        return tasks, {split: list(labelled.intersection(
            read_list(devkit, f'VOC2010/ImageSets/Main/{split}.txt', self.expects))) for split in SPLITS}


CONVERTER = ContextConverter(
    root='VOC2010',
    devkit_archive=r'VOCtrainval_03-May-2010\.tar',
    label_archive=r'trainval\.tar\.gz',
    label_folder='SegmentationClassContext',
    list_folder='SegmentationContext',
    counts=(
        Count('VOC2010/SegmentationClassContext', sum(SPLITS.values()), '.png',
              'trainval_merged.json or trainval.tar.gz'),
        Count('VOC2010/JPEGImages', 11321, '.jpg', optional=True)),
    expects='the devkit of VOC, with VOC2010 or VOCtrainval_03-May-2010.tar in it, and trainval_merged.json or '
            'trainval.tar.gz',
    out_dir=None)
