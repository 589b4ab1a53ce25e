"""What the converters of PASCAL VOC and PASCAL Context have in common: a devkit, and labels that others add to it."""
from __future__ import annotations

import argparse
import os
from dataclasses import dataclass

from mmseg.datasets.converters.archives import Member, Scratch, list_members
from mmseg.datasets.converters.rules import Converter, Count, Plan, Rule
from mmseg.datasets.converters.tasks import Task
from mmseg.utils.errors import InputError


@dataclass(frozen=True)
class DevkitConverter(Converter):
    """Converter of two paths: the devkit, or the archive of it, which is unpacked beside itself; and the labels.

    Args:
        root: the folder of the year in the devkit.
        devkit_archive: regular expression for the name of its archive.
        label_archive: the same for that of the labels.
        label_folder: where the labels go, below `root`, unless `--out-dir` says otherwise.
        list_folder: where the lists of images go, below `ImageSets` of `root`.
    """

    root: str = ''
    devkit_archive: str = ''
    label_archive: str = ''
    label_folder: str = ''
    list_folder: str = ''

    def output(self, args: argparse.Namespace, paths: list[str]) -> str:
        return self.home(paths)

    def plan(self, args: argparse.Namespace, scratch: Scratch) -> Plan:
        paths = self.paths_of(args)
        if len(paths) != 2:
            raise InputError(f'found {len(paths)} path{"s" * (len(paths) > 1)}, expected two: {self.expects}')
        out_dir = self.output(args, paths)
        root = os.path.join(out_dir, self.root)
        label_folder = args.out_dir or os.path.join(root, self.label_folder)
        devkit = list_members(paths[0], scratch, self.devkit_archive)
        tasks, lists = self.labels(paths[1], devkit, label_folder, scratch)
        kept = 'JPEGImages|SegmentationClass|ImageSets/Segmentation|ImageSets/Main'
        rule = Rule(rf'({self.root}/(?:{kept})/[^/]+\.(?:jpg|png|txt))', lambda match: match[1])
        first, *others = self.counts
        counts = (Count(os.path.relpath(label_folder, out_dir), first.published, first.suffix, first.source), *others)
        return Plan(out_dir, self.tasks(devkit, out_dir, (rule,)) + tasks,
                    {os.path.join(root, 'ImageSets', self.list_folder, f'{name}.txt'): sorted(lines)
                     for name, lines in lists.items()}, counts)

    def labels(self, path: str, devkit: list[Member], folder: str, scratch: Scratch
               ) -> tuple[list[Task], dict[str, list[str]]]:
        """Return what is to be done for the labels at `path`, and the lists of images, by name."""
        raise NotImplementedError
