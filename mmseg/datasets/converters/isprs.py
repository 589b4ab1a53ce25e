"""What ISPRS Potsdam and Vaihingen have in common: a few large tiles, cut into patches, and labels in six colours."""
from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from mmseg.datasets.converters.codecs import colours, painted
from mmseg.datasets.converters.rules import Converter, Count, Rule
from mmseg.datasets.converters.tasks import Patches
from mmseg.utils.errors import InputError

OPTIONS = {
    ('--clip_size', '--clip-size'): dict(type=int, default=512, metavar='N', help='side of a patch (512)'),
    ('--stride_size', '--stride-size'): dict(
        type=int, metavar='N', help='taken for the sake of 1.x, where it changes nothing either: patches lie side by '
        'side, which gives the published counts; see --step'),
    ('--step',): dict(type=int, metavar='N', help='how far apart patches begin, for patches that overlap (CLIP_SIZE)'),
}


@dataclass(frozen=True)
class IsprsConverter(Converter):
    """Converter of tiles.

    Args:
        image: pattern of the tiles; the group `tile` names them.
        label: pattern of their labels, with the same group.
        split_of: tile -> `train` or `val`.
    """

    image: str = ''
    label: str = ''
    split_of: Callable[[str], str] = None

    def rules_for(self, args: argparse.Namespace) -> tuple[Rule, ...]:
        from mmseg.datasets.isprs import ISPRSDataset
        step = args.step or args.clip_size
        if min(args.clip_size, step) < 1:
            raise InputError(f'found --clip_size {args.clip_size} and --step {step}, expected numbers from 1')
        # Black is what lies between two classes; it becomes 0, which the data set ignores.
        palette = ((0, 0, 0), *map(tuple, ISPRSDataset.METAINFO['palette']))

        def rule(pattern: str, folder: str, decode: Callable, growth: float) -> Rule:
            cut = partial(Patches, growth=growth * (args.clip_size / step)**2, decode=decode,
                          side=(args.clip_size,) * 2, step=(step, step))
            return Rule(pattern, lambda match: f'{folder}/{self.split_of(match["tile"])}/{match["tile"]}', task=cut)

        return (rule(self.image, 'img_dir', colours, 1.2),
                rule(self.label, 'ann_dir', partial(painted, palette=palette, other=0), 0.1))


def counts(published: dict[str, int], images: str, labels: str) -> tuple[Count, ...]:
    """Say how many patches there are of each split, and which archives they come from."""
    return tuple(Count(f'{folder}/{split}', number, '.png', source, images=paired and (f'img_dir/{split}', '.png'))
                 for split, number in published.items()
                 for folder, source, paired in (('img_dir', images, None), ('ann_dir', labels, True)))
