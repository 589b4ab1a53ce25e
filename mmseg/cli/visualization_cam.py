"""Show which pixels of a picture speak for a class: Grad-CAM, https://arxiv.org/abs/1610.02391.

    mmseg visualization-cam street.jpg CONFIG CHECKPOINT --category-index 13 --out-file car.png
    mmseg visualization-cam street.jpg CONFIG CHECKPOINT --target-layers backbone.layer3 'backbone.layer4[2]'

The sum of the class's logits, over the pixels that are predicted as that class, is differentiated by the output of each
target layer; the channels of that output, each weighted by its mean derivative, make the picture.
"""
from __future__ import annotations

import argparse

from mmseg.cli import common
from mmseg.utils.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    common.add_picture_and_model(parser)
    parser.add_argument('--out-file', default='prediction.png', metavar='FILE', help='to write (prediction.png)')
    parser.add_argument('--target-layers', nargs='+', default=['backbone'], metavar='LAYER',
                        help='modules such as backbone.layer4[2] (the last output of the backbone); several: the mean')
    parser.add_argument('--category-index', metavar='CLASS', default='0', help='number or name of the class (0)')


def run(args: argparse.Namespace) -> None:
    from mmseg.apis.activations import class_activation
    from mmseg.visualization.drawing import overlay_heat
    from mmseg.visualization.files import read_image, write_image
    image, model = read_image(args.img), common.model_of(args)
    heat = class_activation(model, args.img, class_number(args.category_index, model.dataset_meta['classes']),
                            args.target_layers)
    write_image(args.out_file, overlay_heat(image, heat.numpy(), args.opacity))
    print(f'the picture is in {args.out_file}')


def class_number(given: str, classes) -> int:
    """Return the number of a class that is given by number or by name."""
    if given in classes:
        return list(classes).index(given)
    if given.isdigit() and int(given) < len(classes):
        return int(given)
    raise InputError(f'--category-index {given}: the model tells {len(classes)} classes apart, 0 to '
                     f'{len(classes) - 1}: {", ".join(classes)}')
