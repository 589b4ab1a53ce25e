"""COCO-Stuff 10k (https://github.com/nightrome/cocostuff10k): `cocostuff-10k-v1.1.zip`, or the folder that it holds.

    mmseg convert-dataset coco_stuff10k data/coco_stuff10k --nproc 8

The lists in the archive say which 9000 images train and which 1000 test. Labels begin at 1; 0 is unlabelled.
"""
from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import partial

from mmseg.datasets.converters.archives import Scratch, read_list
from mmseg.datasets.converters.coco_stuff164k import USED
from mmseg.datasets.converters.codecs import mat_to_png, table
from mmseg.datasets.converters.rules import Converter, Count, Plan, Rule

TABLE = table({old: new for new, old in enumerate(USED, 1)}, other=0, size=183)
SPLITS = {'train': 9000, 'test': 1000}


@dataclass(frozen=True)
class Coco10kConverter(Converter):
    """Converter that sorts images by the lists of the archive."""

    def plan(self, args: argparse.Namespace, scratch: Scratch) -> Plan:
        paths = self.paths_of(args)
        members = self.members(paths, scratch)
        split_of = {name: split for split in SPLITS
                    for name in read_list(members, f'imageLists/{split}.txt', self.expects)}

        def place(folder: str, suffix: str):
            def target(match) -> str | None:
                split = split_of.get(match[1])
                return split and f'{folder}/{split}2014/{match[1]}{suffix}'
            return target

        rules = (Rule(r'images/(COCO_train2014_\d{12})\.jpg', place('images', '.jpg')),
                 Rule(r'annotations/(COCO_train2014_\d{12})\.mat', place('annotations', '_labelTrainIds.png'),
                      partial(mat_to_png, keys=('S',), table=TABLE)))
        out_dir = self.output(args, paths)
        return Plan(out_dir, self.tasks(members, out_dir, rules))


CONVERTER = Coco10kConverter(
    counts=tuple(
        Count(f'{folder}/{split}2014', number, suffix, 'cocostuff-10k-v1.1.zip', images=images)
        for split, number in SPLITS.items()
        for folder, suffix, images in (('images', '.jpg', None),
                                       ('annotations', '_labelTrainIds.png', (f'images/{split}2014', '.jpg')))),
    expects='cocostuff-10k-v1.1.zip, or a folder with it or with its images, annotations and imageLists',
    out_dir=None,
    archives=r'cocostuff-10k.*\.zip')
