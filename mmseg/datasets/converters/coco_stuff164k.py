"""COCO-Stuff 164k (https://github.com/nightrome/cocostuff): the images of COCO 2017 with `stuffthingmaps`.

    mmseg convert-dataset coco_stuff164k data/coco_stuff164k --nproc 8

The folder holds `images/{train,val}2017` and `annotations/{train,val}2017`, or the archives `train2017.zip`,
`val2017.zip` and `stuffthingmaps_trainval2017.zip`, which are unpacked into it. Beside each label comes a
`…_labelTrainIds.png`.
"""
from __future__ import annotations

from functools import partial

from mmseg.datasets.converters.codecs import mapped_to_png, table
from mmseg.datasets.converters.rules import Converter, Count, Rule

# Things that COCO numbers and never labelled, counted from 1: the others move up.
UNUSED = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91)
USED = [number for number in range(1, 183) if number not in UNUSED]  # 171

CONVERTER = Converter(
    rules=(
        Rule(r'((?:train|val)2017/\d{12}\.jpg)', lambda match: f'images/{match[1]}'),
        # In these files the numbers begin at 0.
        Rule(r'((?:train|val)2017/\d{12})\.png', lambda match: f'annotations/{match[1]}_labelTrainIds.png',
             partial(mapped_to_png, table=table({old - 1: new for new, old in enumerate(USED)}, other=255)))),
    counts=tuple(
        Count(f'{folder}/{split}2017', number, suffix, source, folder == 'images', images)
        for split, number in (('train', 118287), ('val', 5000))
        for folder, suffix, source, images in (
            ('images', '.jpg', f'{split}2017.zip', None),
            ('annotations', '_labelTrainIds.png', 'stuffthingmaps_trainval2017.zip',
             (f'images/{split}2017', '.jpg')))),
    expects='the folder of images and annotations, or of train2017.zip, val2017.zip and '
            'stuffthingmaps_trainval2017.zip',
    out_dir=None,
    archives=r'(train2017|val2017|stuffthingmaps_trainval2017)\.zip')
