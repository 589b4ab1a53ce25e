"""PASCAL VOC 2012 (http://host.robots.ox.ac.uk/pascal/VOC) with the labels of SBD
(http://home.bharathh.info/pubs/codes/SBD).

    mmseg convert-dataset voc_aug data/VOCdevkit data/VOCdevkit/VOCaug --nproc 8

The first folder is the devkit with `VOC2012` in it, or `VOCtrainval_11-May-2012.tar`, which is unpacked there. The
second is that of SBD, with `dataset` or `benchmark.tgz` in it. The labels go to `VOC2012/SegmentationClassAug`, the
lists `aug.txt` (what SBD adds) and `trainaug.txt` (that, and the training images of VOC) to
`VOC2012/ImageSets/Segmentation`.
"""
from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from mmseg.datasets.converters.archives import Member, Scratch, list_members, read_list
from mmseg.datasets.converters.codecs import mat_to_png
from mmseg.datasets.converters.devkit import DevkitConverter
from mmseg.datasets.converters.rules import Count, Rule
from mmseg.datasets.converters.tasks import Task

SAME = bytes(range(256))


@dataclass(frozen=True)
class VocAugConverter(DevkitConverter):
    """Converter that lists what SBD adds to the images of VOC, and all that train: none of them is for validation."""

    def labels(self, path: str, devkit: list[Member], folder: str, scratch: Scratch
               ) -> tuple[list[Task], dict[str, list[str]]]:
        sbd = list_members(path, scratch, self.label_archive)
        train, val = (set(read_list(devkit, f'VOC2012/ImageSets/Segmentation/{split}.txt', self.expects))
                      for split in ('train', 'val'))
        added = {name for split in ('train', 'val') for name in read_list(sbd, f'dataset/{split}.txt', self.expects)}
        rule = Rule(r'cls/(\d{4}_\d{6})\.mat', lambda match: f'{match[1]}.png',
                    partial(mat_to_png, keys=('GTcls', 'Segmentation'), table=SAME), growth=2)
        return (self.tasks(sbd, folder, (rule,)),
                {'aug': list(added - train - val), 'trainaug': list((added | train) - val)})


CONVERTER = VocAugConverter(
    root='VOC2012',
    devkit_archive=r'VOCtrainval_11-May-2012\.tar',
    label_archive=r'benchmark\.tgz',
    label_folder='SegmentationClassAug',
    list_folder='Segmentation',
    counts=(
        Count('VOC2012/SegmentationClassAug', 11355, '.png', 'benchmark.tgz'),
        Count('VOC2012/JPEGImages', 17125, '.jpg', optional=True),
        Count('VOC2012/SegmentationClass', 2913, '.png', optional=True)),
    expects='the devkit of VOC, with VOC2012 or VOCtrainval_11-May-2012.tar in it, and the folder of SBD, with dataset '
            'or benchmark.tgz in it',
    out_dir=None)
