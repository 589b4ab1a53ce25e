"""From the files that the owners of a data set publish to those that the configs read: one module for each data set.

A module holds `CONVERTER`: which files it takes, by their published names, where each of them goes, and how many there
have to be at the end. What they share: `archives` reads zip and tar files without unpacking them, `codecs` turns
pictures and labels into others, `tasks` says what one process does at a time, `rules` is the table from names to tasks,
`run` does the work.
"""
from __future__ import annotations

CONVERTERS = {
    'ade20k': 'ADE20K, the scene parsing challenge',
    'camvid': 'CamVid, as SegNet uses it',
    'chase_db1': 'CHASE_DB1, vessels of the retina',
    'cityscapes': 'Cityscapes: labels from polygons',
    'coco_stuff10k': 'COCO-Stuff 10k',
    'coco_stuff164k': 'COCO-Stuff 164k',
    'drive': 'DRIVE, vessels of the retina',
    'hrf': 'HRF, vessels of the retina',
    'isaid': 'iSAID, cut into patches',
    'levircd': 'LEVIR-CD, cut into patches',
    'loveda': 'LoveDA',
    'mapillary': 'Mapillary Vistas 1.2 and 2.0',
    'nyu': 'NYU Depth V2',
    'pascal_context': 'PASCAL Context',
    'potsdam': 'ISPRS Potsdam, cut into patches',
    'refuge': 'REFUGE, optic disc and cup',
    'stare': 'STARE, vessels of the retina',
    'suim': 'SUIM, under water',
    'synapse': 'Synapse, abdominal organs in CT, cut into slices',
    'vaihingen': 'ISPRS Vaihingen, cut into patches',
    'voc_aug': 'PASCAL VOC 2012 with the labels of SBD',
}
