"""Synapse multi-organ CT (https://www.synapse.org/#!Synapse:syn3193805): `RawData.zip` of the abdomen, cut into slices.

    mmseg convert-dataset synapse downloads/Abdomen

18 of the 30 volumes train and 12 validate, as `train.txt` and `val.txt` beside `img` and `label` say (`img0005.nii.gz`
in a line), or without these files as TransUNet (https://arxiv.org/abs/2102.04306) has it. Reading the volumes needs
nibabel.

Densities from -125 to 275 Hounsfield units become grey levels from 0 to 255. Of the 13 organs 8 are kept.
"""
from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np

from mmseg.datasets.converters.archives import Member, Scratch, read_list
from mmseg.datasets.converters.codecs import jpeg, png, table
from mmseg.datasets.converters.rules import Converter, Count, Plan, Rule
from mmseg.datasets.converters.tasks import Pieces
from mmseg.utils.errors import InputError

VALIDATION = (1, 2, 3, 4, 8, 22, 25, 29, 32, 35, 36, 38)
# Published number of an organ -> its place in `SynapseDataset`.
ORGANS = table({8: 1, 4: 2, 3: 3, 2: 4, 6: 5, 11: 6, 1: 7, 7: 8}, other=0)
LOWEST, HIGHEST = -125, 275  # Hounsfield units


@dataclass(frozen=True)
class Slices(Pieces):
    """Cut a volume into its horizontal slices, turned by a quarter as TransUNet has them: X Y Z -> Z, X, reversed Y."""

    labels: bool = False

    def files(self, content: bytes) -> Iterator[tuple[str, Callable[[], bytes]]]:
        from mmseg.utils.io import datafrombytes
        try:
            volume = datafrombytes(content, 'nifti')
        except ModuleNotFoundError:
            raise
        except Exception as error:  # a damaged file can fail in any way
            raise InputError(f'{self.source}: found no NIfTI volume ({type(error).__name__}: {error}): fetch the '
                             'archive again') from error
        for number in range(volume.shape[2]):
            pixels = volume[:, ::-1, number]
            yield (f'{self.target}_slice{number:03d}{self.suffix}',
                   lambda pixels=pixels: self.label(pixels) if self.labels else self.picture(pixels))

    @staticmethod
    def picture(densities: np.ndarray) -> bytes:
        grey = (np.clip(densities, LOWEST, HIGHEST) - LOWEST) * (255 / (HIGHEST - LOWEST))
        return jpeg(np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2))

    @staticmethod
    def label(organs: np.ndarray) -> bytes:
        return png(np.frombuffer(ORGANS, np.uint8)[organs.astype(np.uint8)])


@dataclass(frozen=True)
class SynapseConverter(Converter):
    """Converter that splits by lists, where there are any."""

    def plan(self, args: argparse.Namespace, scratch: Scratch) -> Plan:
        if find_spec('nibabel') is None:
            raise ModuleNotFoundError('reading NIfTI volumes needs nibabel, which is not installed: '
                                      'pip install nibabel')
        paths = self.paths_of(args)
        members = self.members(paths, scratch)
        split_of = self.splits(members)

        def target(folder: str):
            return lambda match: match[1] in split_of and f'{folder}/{split_of[match[1]]}/case{match[1]}' or None

        def task(suffix: str, labels: bool, growth: float):
            return lambda member, path: Slices(member, path, growth=growth, suffix=suffix, labels=labels)

        rules = (Rule(r'img(\d{4})\.nii(?:\.gz)?', target('img_dir'), task=task('.jpg', False, 0.5)),
                 Rule(r'label(\d{4})\.nii(?:\.gz)?', target('ann_dir'), task=task('.png', True, 1)))
        out_dir = self.output(args, paths)
        return Plan(out_dir, self.tasks(members, out_dir, rules))

    def splits(self, members: list[Member]) -> dict[str, str]:
        """Return the split of each volume, by its number."""
        names = {member.name.rsplit('/')[-1] for member in members}
        if not names >= {'train.txt', 'val.txt'}:
            numbers = [*range(1, 11), *range(21, 41)]
            return {f'{number:04d}': 'val' if number in VALIDATION else 'train' for number in numbers}
        return {os.path.basename(line).removeprefix('img').partition('.')[0]: split
                for split in ('train', 'val') for line in read_list(members, f'{split}.txt', self.expects)}


CONVERTER = SynapseConverter(
    counts=(
        *(Count(f'{folder}/{split}', None, suffix, 'RawData.zip', images=images)
          for split in ('train', 'val')
          for folder, suffix, images in (('img_dir', '.jpg', None), ('ann_dir', '.png', (f'img_dir/{split}', '.jpg')))),
        Count('img_dir', 3779, '.jpg', 'RawData.zip')),
    expects='RawData.zip of the abdomen, or the folder in which img and label lie',
    out_dir='data/synapse',
    archives=r'RawData\.zip',
    path_flags=('--dataset-path', '--dataset_path'),
    out_flags=('--save-path', '--save_path'))
