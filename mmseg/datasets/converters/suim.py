"""SUIM (https://irvlab.cs.umn.edu/resources/suim-dataset): pictures taken under water, and labels in colours.

    mmseg convert-dataset suim SUIM.zip
    mmseg train configs/demo/scenes.py --data-root data/suim

The 1525 pictures of `train_val` train and the 110 of `TEST` validate. What is written is read by `FolderDataset`.
"""
from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from functools import partial

from mmseg.datasets.converters.archives import Scratch
from mmseg.datasets.converters.codecs import painted_to_png
from mmseg.datasets.converters.rules import Converter, Count, Plan, Rule

CLASSES = {
    'background': (0, 0, 0), 'diver': (0, 0, 255), 'plant': (0, 255, 0), 'wreck': (0, 255, 255), 'robot': (255, 0, 0),
    'reef': (255, 0, 255), 'fish': (255, 255, 0), 'sea-floor': (255, 255, 255)}
SPLITS = {'train_val': 'train', 'test': 'val'}


@dataclass(frozen=True)
class SuimConverter(Converter):
    """Converter that also writes the classes."""

    def plan(self, args: argparse.Namespace, scratch: Scratch) -> Plan:
        plan = super().plan(args, scratch)
        lines = [' '.join(map(str, (name, *colour))) for name, colour in CLASSES.items()]
        plan.texts[os.path.join(plan.out_dir, 'classes.txt')] = lines
        return plan


CONVERTER = SuimConverter(
    rules=(
        Rule(r'(train_val|test)/images/([^/]+\.jpg)', lambda match: f'images/{SPLITS[match[1].lower()]}/{match[2]}'),
        Rule(r'(train_val|test)/masks/([^/]+)\.bmp', lambda match: f'masks/{SPLITS[match[1].lower()]}/{match[2]}.png',
             partial(painted_to_png, palette=tuple(CLASSES.values()), other=255), growth=0.1)),
    counts=tuple(
        Count(f'{folder}/{split}', number, suffix, source, images=images)
        for source, split, number in (('train_val', 'train', 1525), ('TEST', 'val', 110))
        for folder, suffix, images in (('images', '.jpg', None), ('masks', '.png', (f'images/{split}', '.jpg')))),
    expects='an archive or a folder with train_val and TEST',
    out_dir='data/suim',
    archives=r'(SUIM|train_val|test).*\.zip')
