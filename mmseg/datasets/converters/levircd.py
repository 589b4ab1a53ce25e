"""LEVIR-CD (https://justchenhao.github.io/LEVIR/): `train.zip`, `val.zip` and `test.zip` in one folder.

    mmseg convert-dataset levircd downloads/LEVIR-CD

Each pair of 1024 x 1024 pixels becomes 16 of 256 x 256; labels become 0 and 1.
"""
from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import partial

from mmseg.datasets.converters.codecs import above, colours
from mmseg.datasets.converters.rules import Converter, Count, Rule
from mmseg.datasets.converters.tasks import Patches
from mmseg.utils.errors import InputError


@dataclass(frozen=True)
class LevirConverter(Converter):
    """Converter whose patches are as the arguments want them."""

    def rules_for(self, args: argparse.Namespace) -> tuple[Rule, ...]:
        side, step = args.clip_size, args.stride_size or args.clip_size
        if min(side, step) < 1:
            raise InputError(f'found --clip_size {side} and --stride_size {step}, expected numbers from 1')

        def rule(folders: str, decode) -> Rule:
            return Rule(rf'(train|val|test)/({folders})/((?:train|val|test)_\d+)\.png',
                        lambda match: f'{match[1].lower()}/{match[2]}/{match[3]}',
                        task=partial(Patches, growth=1.2 * (side / step)**2, decode=decode, side=(side, side),
                                     step=(step, step)))

        return rule('A|B', colours), rule('label', above)


CONVERTER = LevirConverter(
    counts=tuple(Count(f'{split}/{folder}', number, '.png', f'{split}.zip', split == 'val', images)
                 for split, number in (('train', 7120), ('val', 1024), ('test', 2048))
                 for folder, images in (('A', None), ('B', (f'{split}/A', '.png')), ('label', (f'{split}/A', '.png')))),
    expects='a folder with train.zip, val.zip and test.zip, or with what they hold',
    out_dir='data/LEVIRCD',
    archives=r'(train|val|test)\.zip|LEVIR.*\.zip',
    nested=r'(train|val|test)\.zip',
    path_flags=('--dataset-path', '--dataset_path'),
    options={
        ('--clip_size', '--clip-size'): dict(type=int, default=256, metavar='N', help='side of a patch (256)'),
        ('--stride_size', '--stride-size'): dict(type=int, metavar='N', help='how far apart they begin (CLIP_SIZE)'),
    })
