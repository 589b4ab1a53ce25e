"""Show what the layers of a model make of a picture.

    mmseg feature-maps street.jpg CONFIG CHECKPOINT --out-dir features
    mmseg feature-maps street.jpg CONFIG CHECKPOINT --layers backbone.layer1 decode_head.conv_seg --channels 16

For each layer one picture: the mean of its channels over the picture or, with --channels, the strongest of them beside
each other.
"""
from __future__ import annotations

import argparse

from mmseg.cli import common


def add_arguments(parser: argparse.ArgumentParser) -> None:
    common.add_picture_and_model(parser)
    parser.add_argument('--layers', nargs='+', default=['backbone'], metavar='LAYER',
                        help='modules such as backbone.layer4[2] (the last output of the backbone)')
    parser.add_argument('--channels', type=int, default=0, metavar='N', help='the N strongest channels, not the mean')
    parser.add_argument('--out-dir', default='features', metavar='DIR', help='where to write (features)')


def run(args: argparse.Namespace) -> None:
    import numpy as np

    from mmseg.apis.activations import layer_outputs
    from mmseg.visualization.drawing import grid, overlay_heat
    from mmseg.visualization.files import read_image, write_image
    image, model = read_image(args.img), common.model_of(args)
    folder = common.writable_folder(args.out_dir)
    for name, output in layer_outputs(model, args.img, args.layers).items():
        maps = output.numpy()
        strongest = np.abs(maps).mean((1, 2)).argsort()[::-1][:args.channels] if args.channels else []
        chosen = [maps[channel] for channel in strongest] or [maps.mean(0)]
        file = folder / f'{name}.png'
        write_image(file, grid([overlay_heat(image, heat, args.opacity) for heat in chosen]))
        print(f'{file}: {"x".join(map(str, maps.shape))}')
