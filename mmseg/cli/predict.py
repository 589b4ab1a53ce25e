"""Label images and videos of your own.

    mmseg predict CONFIG CHECKPOINT street.jpg --out-dir labelled
    mmseg predict CONFIG CHECKPOINT photos/ "more/**/*.png" --out-dir labelled --opacity 0.5 --with-labels
    mmseg predict CONFIG CHECKPOINT drive.mp4 --save pictures --palette cityscapes
    mmseg predict CONFIG CHECKPOINT photos/ --save labels colors confidence probabilities

Into the output folder go `pred/NAME.png`, the number of the class of each pixel, `vis/NAME.jpg`, the labels over the
image (of a video, `vis/NAME.mp4`), and on request `colors/NAME.png`, `confidence/NAME.png` (255 is certain) and
`probabilities/NAME.npy` (classes x height x width). What cannot be read is named at the end; the exit status is then 1.
A raster that does not fit into memory: `mmseg predict-raster`.
"""
from __future__ import annotations

import argparse
import sys

from mmseg.cli import common

KINDS = ('labels', 'pictures', 'colors', 'probabilities', 'confidence')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    common.add_config(parser)
    parser.add_argument('checkpoint', metavar='CHECKPOINT', help='trained weights')
    parser.add_argument('inputs', nargs='+', metavar='INPUT', help='images, folders, patterns ("a/*.png"), videos')
    parser.add_argument('--out-dir', default='predictions', metavar='DIR', help='where to write (predictions)')
    parser.add_argument('--save', nargs='+', choices=KINDS, default=['labels', 'pictures'],
                        help='what to write (labels pictures)')
    parser.add_argument('--no-pictures', action='store_true', help='write no labels over images')
    parser.add_argument('--device', help='cpu, cuda, cuda:1 … (a GPU if there is one)')
    parser.add_argument('--batch-size', type=int, default=1, help='images of one size that go through together (1)')
    parser.add_argument('--amp', action='store_true', help='mixed precision: float16 on a GPU, bfloat16 on a CPU')
    parser.add_argument('--opacity', type=float, default=0.5, metavar='0…1', help='how far labels hide the image (0.5)')
    parser.add_argument('--with-labels', action='store_true', help='write the names of the classes into the picture')
    parser.add_argument('--palette', metavar='DATASET|FILE',
                        help='names and colours of a data set, e.g. cityscapes; or colours from a .json file of [red, '
                             'green, blue] for each class, or from a classes.txt')
    common.add_cfg_options(parser)


def run(args: argparse.Namespace) -> int:
    import os

    from rich.console import Console
    from rich.progress import track

    from mmseg.apis import MMSegInferencer
    from mmseg.apis.sources import count, expand
    from mmseg.utils.config import read_config
    checkpoint = common.existing_file(args.checkpoint)
    cfg = read_config(args.config, common.parse_options(args.cfg_options))
    listed = expand(args.inputs)
    common.writable_folder(args.out_dir)
    colors = dict(palette=args.palette) if os.path.isfile(args.palette or '') else dict(dataset_name=args.palette)
    inferencer = MMSegInferencer(cfg, checkpoint, device=args.device, amp=args.amp, **colors)
    unreadable = []
    results = inferencer.stream(
        listed, args.batch_size, lambda _, error: unreadable.append(str(error)), out_dir=args.out_dir,
        img_out_dir='vis' if 'pictures' in args.save and not args.no_pictures else '',
        pred_out_dir='pred' if 'labels' in args.save else '', opacity=args.opacity, with_labels=args.with_labels,
        extras=[kind for kind in KINDS[2:] if kind in args.save])
    total = count(listed)
    labelled = sum(1 for _ in track(results, f'Labelling {total} images', total, console=Console(stderr=True),
                                    disable=not sys.stderr.isatty()))
    for sentence in unreadable:
        print(f'mmseg predict: {sentence}', file=sys.stderr)
    left_out = f', {len(unreadable)} could not be read' if unreadable else ''
    print(f'{labelled} images labelled{left_out}: see {args.out_dir}')
    return int(bool(unreadable))
