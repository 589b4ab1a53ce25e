"""STARE (https://cecas.clemson.edu/~ahoover/stare/probing/): the pictures and the labels of two observers.

    mmseg convert-dataset stare stare-images.tar labels-ah.tar labels-vk.tar

The first ten of the twenty pictures train, the others validate.
"""
from __future__ import annotations

from mmseg.datasets.converters.retina import vessels

CONVERTER = vessels(
    image=r'(?P<name>im\d{4})\.ppm(?:\.gz)?',
    labels=r'(?P<name>im\d{4})\.(?P<observer>ah|vk)\.ppm(?:\.gz)?',
    is_training=lambda name: int(name[2:]) <= 139,
    suffixes={'ah': '.ah.png', 'vk': '.vk.png'},
    published=(10, 10),
    source='stare-images.tar and labels-ah.tar',
    expects='stare-images.tar, labels-ah.tar and labels-vk.tar, or a folder with them or with what they hold',
    out_dir='data/STARE',
    archives=r'(stare-images|labels-ah|labels-vk)\.tar')
