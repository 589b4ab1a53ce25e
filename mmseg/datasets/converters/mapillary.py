"""Mapillary Vistas (https://www.mapillary.com/dataset/vistas), version 1.2 or 2.0, or both into one folder.

    mmseg convert-dataset mapillary mapillary-vistas-dataset_public_v2.0.zip

The archive of version 2.0 holds the labels of both. In that of 1.2 they lie one folder higher up.
"""
from __future__ import annotations

import re

from mmseg.datasets.converters.rules import Converter, Count, Rule


def label(match: re.Match) -> str:
    return f'{match[1]}/{match[2] or "v1.2"}/labels/{match[3]}'


CONVERTER = Converter(
    rules=(Rule(r'(training|validation|testing)/images/([^/]+\.jpg)', lambda match: f'{match[1]}/images/{match[2]}'),
           Rule(r'(training|validation)/(?:(v1\.2|v2\.0)/)?labels/([^/]+\.png)', label)),
    counts=(
        *(Count(f'{split}/images', number, '.jpg', 'the archive of Mapillary Vistas', split == 'testing')
          for split, number in (('training', 18000), ('validation', 2000), ('testing', 5000))),
        *(Count(f'{split}/{version}/labels', number, '.png', optional=True, images=(f'{split}/images', '.jpg'))
          for split, number in (('training', 18000), ('validation', 2000)) for version in ('v1.2', 'v2.0'))),
    expects='the published archive, or a folder with what it holds: training, validation and testing',
    out_dir='data/mapillary',
    archives=r'.*vistas.*\.zip|An_o5.*\.zip')
