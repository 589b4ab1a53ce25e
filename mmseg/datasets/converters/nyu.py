"""NYU Depth V2, 24231 pictures with depth to train on and 654 to test (https://cs.nyu.edu/~fergus/datasets/nyu_depth_v2).

    mmseg convert-dataset nyu nyu.zip

The archive, or the folder that it holds, has a list of each split, `nyu_train.txt` and `nyu_test.txt`, a picture and a
depth map in each line: `kitchen_0028b/rgb_00045.jpg kitchen_0028b/sync_depth_00045.png 518.8579`. Written are
`images/train/kitchen_0028b_00045.jpg` and `annotations/train/kitchen_0028b_00045.png`, depth in millimetres.
"""
from __future__ import annotations

import argparse
import os
from dataclasses import dataclass

from mmseg.datasets.converters.archives import Member, Scratch, read_list
from mmseg.datasets.converters.rules import Converter, Count, Plan
from mmseg.datasets.converters.tasks import Task
from mmseg.utils.errors import InputError

SPLITS = {'train': 24231, 'test': 654}
KINDS = {'images': 'rgb_', 'annotations': 'sync_depth_'}


@dataclass(frozen=True)
class NyuConverter(Converter):
    """Converter of the pairs in two lists."""

    def plan(self, args: argparse.Namespace, scratch: Scratch) -> Plan:
        paths = self.paths_of(args)
        members = self.members(paths, scratch)
        # Where a path of a list begins is found by its last two parts, the room and the file.
        places: dict[str, list[Member]] = {}
        for member in members:
            places.setdefault('/'.join(member.name.split('/')[-2:]), []).append(member)
        out_dir = self.output(args, paths)
        tasks: dict[str, Task] = {}
        for split in SPLITS:
            name = f'nyu_{split}.txt'
            for number, line in enumerate(read_list(members, name, self.expects), 1):
                pair = line.split()[:2]
                if len(pair) < 2:
                    raise InputError(f'{name}, line {number}: found {line!r}, expected a picture and a depth map')
                for path, (folder, prefix) in zip(pair, KINDS.items()):
                    member = self.find(path.strip('/'), places, f'{name}, line {number}')
                    room, file = path.strip('/').split('/')[-2:]
                    target = os.path.join(out_dir, folder, split, f'{room}_{file.removeprefix(prefix)}')
                    earlier = tasks.setdefault(target, Task(member, target))
                    if earlier.source != member:
                        raise InputError(f'two files would be written to {target}: {earlier.source} and {member}; '
                                         f'correct {name}')
        return Plan(out_dir, list(tasks.values()))

    def find(self, path: str, places: dict[str, list[Member]], where: str) -> Member:
        """Return the file that a list names.

        Raises:
            InputError: there is none, or several.
        """
        found = [member for member in places.get('/'.join(path.split('/')[-2:]), ())
                 if f'/{member.name}'.endswith(f'/{path}')]
        if len(found) != 1:
            raise InputError(f'{where}: found {len(found)} files {path!r}, expected one: fetch the archive again')
        return found[0]


CONVERTER = NyuConverter(
    counts=tuple(
        Count(f'{folder}/{split}', number, suffix, 'nyu.zip', images=images)
        for split, number in SPLITS.items()
        for folder, suffix, images in (('images', '.jpg', None), ('annotations', '.png', (f'images/{split}', '.jpg')))),
    expects='nyu.zip, or a folder with it or with what it holds: nyu_train.txt, nyu_test.txt and the files they name',
    out_dir='data/nyu',
    archives=r'nyu.*\.zip')
