"""REFUGE (https://refuge.grand-challenge.org): the folder `REFUGE2` with the archives of the pictures and labels.

    mmseg convert-dataset refuge downloads/REFUGE2/REFUGE2

400 pictures each train, validate and test. In the published labels 0 is the cup, 128 the disc and 255 neither; written
are 1, 2 and 0.
"""
from __future__ import annotations

import re
from functools import partial

from mmseg.datasets.converters.codecs import mapped_to_png, picture_to_png, table
from mmseg.datasets.converters.rules import Converter, Count, Rule

SPLITS = {'g': 'training', 'n': 'training', 'v': 'validation', 't': 'test'}  # by the first letter of a name
ARCHIVES = {
    'training': ('REFUGE-Training400.zip', 'Annotation-Training400.zip'),
    'validation': ('REFUGE-Validation400.zip', 'REFUGE-Validation400-GT.zip'),
    'test': ('REFUGE-Test400.zip', 'REFUGE-Test-GT.zip'),
}


def place(folder: str):
    def target(match: re.Match) -> str:
        return f'{folder}/{SPLITS[match[1][0].lower()]}/{match[1]}.png'
    return target


CONVERTER = Converter(
    rules=(
        Rule(r'([gnvt]\d{4})\.jpg', place('images'), picture_to_png, growth=12),
        Rule(r'([gnvt]\d{4})\.bmp', place('annotations'),
             partial(mapped_to_png, table=table({0: 1, 128: 2}, other=0)), growth=0.1)),
    counts=tuple(
        Count(f'{folder}/{split}', 400, '.png', source, split == 'test', images)
        for split, sources in ARCHIVES.items()
        for folder, source, images in zip(('images', 'annotations'), sources, (None, (f'images/{split}', '.png')))),
    expects='the folder REFUGE2 with its six archives, or with what they hold',
    out_dir='data/REFUGE',
    archives=r'(annotation-|refuge).*\.zip',
    nested=r'(annotation-|refuge).*\.zip',
    path_flags=('--raw_data_root', '--raw-data-root'),
    out_flags=('--save_root', '--save-root'))
