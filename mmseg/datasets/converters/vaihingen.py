"""ISPRS Vaihingen (https://www.isprs.org/education/benchmarks/UrbanSemLab): tiles in infrared, red and green.

    mmseg convert-dataset vaihingen downloads/Vaihingen

The folder holds `ISPRS_semantic_labeling_Vaihingen.zip` and
`ISPRS_semantic_labeling_Vaihingen_ground_truth_eroded_COMPLETE.zip`. 16 tiles train and 17 validate.
"""
from __future__ import annotations

from mmseg.datasets.converters.isprs import OPTIONS, IsprsConverter, counts

TRAINING = (1, 3, 5, 7, 11, 13, 15, 17, 21, 23, 26, 28, 30, 32, 34, 37)
IMAGES = 'ISPRS_semantic_labeling_Vaihingen.zip'
LABELS = 'ISPRS_semantic_labeling_Vaihingen_ground_truth_eroded_COMPLETE.zip'

CONVERTER = IsprsConverter(
    # The archive of the tiles also holds labels of the same names, with borders and not of all tiles.
    image=r'top/top_mosaic_09cm_(?P<tile>area\d+)\.tif',
    label=r'top_mosaic_09cm_(?P<tile>area\d+)_noBoundary\.tif',
    split_of=lambda tile: 'train' if int(tile[4:]) in TRAINING else 'val',
    counts=counts(dict(train=344, val=398), IMAGES, LABELS),
    expects=f'a folder with {IMAGES} and {LABELS}, or with what they hold',
    out_dir='data/vaihingen',
    archives=r'ISPRS_semantic_labeling_Vaihingen.*\.zip|vaihingen\.zip',
    nested=r'ISPRS_semantic_labeling_Vaihingen(_ground_truth_eroded_COMPLETE)?\.zip',
    options=OPTIONS)
