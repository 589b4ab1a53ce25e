"""ISPRS Potsdam (https://www.isprs.org/education/benchmarks/UrbanSemLab): tiles in red, green and blue.

    mmseg convert-dataset potsdam downloads/Potsdam

The folder holds `2_Ortho_RGB.zip` and `5_Labels_all_noBoundary.zip`, whatever else lies there. 24 tiles train and 14
validate. Each of 6000 x 6000 pixels becomes 144 patches of 512 x 512.
"""
from __future__ import annotations

from mmseg.datasets.converters.isprs import OPTIONS, IsprsConverter, counts

CONVERTER = IsprsConverter(
    image=r'top_potsdam_(?P<tile>\d+_\d+)_RGB\.tif',
    label=r'top_potsdam_(?P<tile>\d+_\d+)_label_noBoundary\.tif',
    split_of=lambda tile: 'val' if int(tile.split('_')[1]) > 12 else 'train',
    counts=counts(dict(train=3456, val=2016), '2_Ortho_RGB.zip', '5_Labels_all_noBoundary.zip'),
    expects='a folder with 2_Ortho_RGB.zip and 5_Labels_all_noBoundary.zip, or with what they hold',
    out_dir='data/potsdam',
    archives=r'2_Ortho_RGB\.zip|5_Labels_all_noBoundary\.zip|potsdam\.zip',
    nested=r'2_Ortho_RGB\.zip|5_Labels_all_noBoundary\.zip',
    options=OPTIONS)
