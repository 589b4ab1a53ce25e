"""CHASE_DB1 (https://blogs.kingston.ac.uk/retinal/chasedb1/): `CHASEDB1.zip`.

    mmseg convert-dataset chase_db1 CHASEDB1.zip

The eyes 1 to 10 train, 11 to 14 validate. The labels of both observers are written, `_1stHO` and `_2ndHO`.
"""
from __future__ import annotations

from mmseg.datasets.converters.retina import vessels

CONVERTER = vessels(
    image=r'(?P<name>Image_\d\d[LR])\.jpg',
    labels=r'(?P<name>Image_\d\d[LR])_(?P<observer>1st|2nd)HO\.png',
    is_training=lambda name: int(name[6:8]) <= 10,
    suffixes={'1st': '_1stHO.png', '2nd': '_2ndHO.png'},
    published=(20, 8),
    source='CHASEDB1.zip',
    expects='CHASEDB1.zip, or a folder with it or with what it holds',
    out_dir='data/CHASE_DB1',
    archives=r'CHASE_?DB1\.zip')
