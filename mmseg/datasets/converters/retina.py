"""What the sets of retinal images have in common: pictures become PNG files, drawings of vessels labels 0 and 1."""
from __future__ import annotations

import re
from collections.abc import Callable

from mmseg.datasets.converters.codecs import drawing_to_png, picture_to_png
from mmseg.datasets.converters.rules import Converter, Count, Rule


def vessels(image: str, labels: str, is_training: Callable[[str], bool], suffixes: dict[str, str],
            published: tuple[int, int], source: str, **options) -> Converter:
    """Make the converter of a set of retinal images.

    Args:
        image: pattern of the pictures; the group `name` is their name without extension.
        labels: pattern of the drawings, with a group `name` too, and a group `observer` unless there is one only.
        is_training: name -> whether it is one to train on, rather than to validate.
        suffixes: observer -> end of the name of a label; the first is the one that the data set reads.
        published: how many pictures there are to train and to validate on.
        source: the archives, for messages.
        options: the rest of :class:`Converter`.
    """

    def place(folder: str, match: re.Match) -> str:
        return f'{folder}/{"training" if is_training(match["name"]) else "validation"}/{match["name"]}'

    def label(match: re.Match) -> str | None:
        return place('annotations', match) + suffixes[(match.groupdict().get('observer') or '').lower()]

    own, *others = suffixes.values()
    counts = [Count(f'{folder}/{split}', number, suffix, source, images=images)
              for split, number in zip(('training', 'validation'), published)
              for folder, suffix, images in (('images', '.png', None),
                                             ('annotations', own, (f'images/{split}', '.png')))]
    counts += [Count(f'annotations/{split}', number, suffix, source, optional=True) for suffix in others
               for split, number in zip(('training', 'validation'), published)]
    return Converter(counts=tuple(counts), rules=(
        Rule(image, lambda match: place('images', match) + '.png', picture_to_png, growth=12),
        Rule(labels, label, drawing_to_png)), **options)
