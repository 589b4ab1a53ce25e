"""LoveDA (https://zenodo.org/record/5706578): `Train.zip`, `Val.zip` and `Test.zip` in one folder.

    mmseg convert-dataset loveda downloads/LoveDA

Towns and country of a split go into one folder. The test split, which has no labels, may be left out.
"""
from __future__ import annotations

from mmseg.datasets.converters.rules import Converter, Count, Rule

CONVERTER = Converter(
    rules=tuple(
        Rule(rf'({splits})/(?:Rural|Urban)/{kind}_png/(\d+\.png)',
             lambda match, folder=folder: f'{folder}/{match[1].lower()}/{match[2]}')
        for splits, kind, folder in (('Train|Val|Test', 'images', 'img_dir'), ('Train|Val', 'masks', 'ann_dir'))),
    counts=tuple(
        Count(f'{folder}/{split}', number, '.png', f'{split.title()}.zip', split == 'test', images)
        for split, number in (('train', 2522), ('val', 1669), ('test', 1796))
        for folder, images in (('img_dir', None), ('ann_dir', (f'img_dir/{split}', '.png')))),
    expects='a folder with Train.zip, Val.zip and Test.zip, or with what they hold',
    out_dir='data/loveDA',
    archives=r'(train|val|test)\.zip')
