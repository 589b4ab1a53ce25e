"""ADE20K, the scene parsing challenge (http://sceneparsing.csail.mit.edu): `ADEChallengeData2016.zip`, unpacked.

    mmseg convert-dataset ade20k ADEChallengeData2016.zip
"""
from __future__ import annotations

from mmseg.datasets.converters.rules import Converter, Count, Rule

CONVERTER = Converter(
    rules=(Rule(r'(images/(?:training|validation)/[^/]+\.jpg)', lambda match: match[1]),
           Rule(r'(annotations/(?:training|validation)/[^/]+\.png)', lambda match: match[1])),
    counts=tuple(
        Count(f'{folder}/{split}', number, suffix, 'ADEChallengeData2016.zip', images=images)
        for split, number in (('training', 20210), ('validation', 2000))
        for folder, suffix, images in (('images', '.jpg', None), ('annotations', '.png', (f'images/{split}', '.jpg')))),
    expects='ADEChallengeData2016.zip, or a folder with it or with what it holds',
    out_dir='data/ade/ADEChallengeData2016',
    archives=r'ADEChallengeData2016\.zip')
