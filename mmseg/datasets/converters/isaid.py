"""iSAID (https://captain-whu.github.io/iSAID/): the images of DOTA with labels in colours.

    mmseg convert-dataset isaid downloads/iSAID

The folder holds `train`, `val` and `test`, as they are published: `images/part1.zip` … and, but for `test`,
`Semantic_masks/images.zip`. Images become patches of 896 x 896 that overlap by 384; smaller ones are filled up.
"""
from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from mmseg.datasets.converters.codecs import colours, painted
from mmseg.datasets.converters.rules import Converter, Count, Rule
from mmseg.datasets.converters.tasks import Patches
from mmseg.utils.errors import InputError

LABEL = '_instance_color_RGB.png'


@dataclass(frozen=True)
class IsaidConverter(Converter):
    """Converter whose patches are as the arguments want them."""

    def rules_for(self, args: argparse.Namespace) -> tuple[Rule, ...]:
        from mmseg.datasets.isaid import iSAIDDataset
        side, overlap = (args.patch_height, args.patch_width), args.overlap_area
        if not 0 <= overlap < min(side):
            raise InputError(f'found --overlap_area {overlap}, expected 0 to {min(side) - 1}: less than the patch')
        palette = tuple(map(tuple, iSAIDDataset.METAINFO['palette']))

        def rule(pattern: str, folder: str, decode: Callable, fill: int, suffix: str, growth: float) -> Rule:
            cut = partial(Patches, growth=growth, decode=decode, side=side, fill=fill, suffix=suffix,
                          step=tuple(length - overlap for length in side), name='_{y0}_{y1}_{x0}_{x1}')
            return Rule(pattern, lambda match: f'{folder}/{match[1].lower()}/{match[2]}', task=cut)

        return (
            rule(r'(train|val|test)/(?:.+/)?(P\d+)\.png', 'img_dir', colours, 0, '.png', 3),
            rule(rf'(train|val)/(?:.+/)?(P\d+){LABEL}', 'ann_dir', partial(painted, palette=palette, other=255), 255,
                 LABEL, 3))


CONVERTER = IsaidConverter(
    counts=tuple(Count(f'{folder}/{split}', number, suffix, f'{split}/{source}', number is None, images)
                 for split, number in (('train', 33978), ('val', 11644), ('test', None))
                 for folder, suffix, source, images in (
                     ('img_dir', '.png', 'images/part1.zip …', None),
                     ('ann_dir', LABEL, 'Semantic_masks/images.zip', (f'img_dir/{split}', '.png')))),
    expects='the folder of iSAID, with train, val and test in it',
    out_dir='data/iSAID',
    archives=r'part\d+\.zip|images\.zip',
    options={
        ('--patch_width', '--patch-width'): dict(type=int, default=896, metavar='N', help='of a patch (896)'),
        ('--patch_height', '--patch-height'): dict(type=int, default=896, metavar='N', help='of a patch (896)'),
        ('--overlap_area', '--overlap-area'): dict(
            type=int, default=384, metavar='N', help='by how much neighbouring patches overlap (384)'),
    })
