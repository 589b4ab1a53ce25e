"""HRF (https://www5.cs.fau.de/research/data/fundus-images/): three archives of pictures and three of labels.

    mmseg convert-dataset hrf healthy.zip healthy_manualsegm.zip glaucoma.zip glaucoma_manualsegm.zip \\
        diabetic_retinopathy.zip diabetic_retinopathy_manualsegm.zip

Of each kind, which counts to 15, the first five train and the others validate.
"""
from __future__ import annotations

from mmseg.datasets.converters.retina import vessels

CONVERTER = vessels(
    image=r'(?P<name>\d\d_(?:h|g|dr))\.jpg',
    labels=r'(?P<name>\d\d_(?:h|g|dr))\.tif',
    is_training=lambda name: int(name[:2]) <= 5,
    suffixes={'': '.png'},
    published=(15, 30),
    source='{healthy,glaucoma,diabetic_retinopathy}.zip and the same with _manualsegm',
    expects='the three archives of pictures and the three of labels (_manualsegm), or a folder with them',
    out_dir='data/HRF',
    archives=r'(healthy|glaucoma|diabetic_retinopathy)(_manualsegm)?\.zip')
