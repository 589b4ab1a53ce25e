"""DRIVE (https://drive.grand-challenge.org): `training.zip` and `test.zip`.

    mmseg convert-dataset drive training.zip test.zip

The test pictures validate; the labels of their second observer are written too, as `_manual2`. Some copies of
`test.zip` hold no labels: then there is nothing to validate on, and `--partial` converts the rest.
"""
from __future__ import annotations

from mmseg.datasets.converters.retina import vessels

CONVERTER = vessels(
    image=r'images/(?P<name>\d\d)_(?:training|test)\.tif',
    labels=r'(?P<name>\d\d)_manual(?P<observer>[12])\.gif',
    is_training=lambda name: int(name) > 20,
    suffixes={'1': '_manual1.png', '2': '_manual2.png'},
    published=(20, 20),
    source='training.zip and test.zip, with labels',
    expects='training.zip and test.zip, or a folder with them or with what they hold',
    out_dir='data/DRIVE',
    archives=r'(training|test)\.zip')
