"""Label images of your own.

    mmseg predict CONFIG CHECKPOINT street.jpg --out-dir labelled
    mmseg predict CONFIG CHECKPOINT photos/ more/*.png --out-dir labelled --opacity 0.5 --with-labels

Into the output folder go `pred/NAME.png`, the number of the class of each pixel, and `vis/NAME.jpg`, the picture.
"""
from __future__ import annotations

import argparse
import os

from mmseg.cli import common


def add_arguments(parser: argparse.ArgumentParser) -> None:
    common.add_config(parser)
    parser.add_argument('checkpoint', metavar='CHECKPOINT', help='trained weights')
    parser.add_argument('inputs', nargs='+', metavar='INPUT', help='images, or folders of images')
    parser.add_argument('--out-dir', default='predictions', metavar='DIR', help='where to write (predictions)')
    parser.add_argument('--device', help='cpu, cuda, cuda:1 … (a GPU if there is one)')
    parser.add_argument('--batch-size', type=int, default=1, help='images of one size that go through together (1)')
    parser.add_argument('--opacity', type=float, default=0.5, metavar='0…1', help='how far labels hide the image (0.5)')
    parser.add_argument('--with-labels', action='store_true', help='write the names of the classes into the picture')
    parser.add_argument('--palette', metavar='DATASET', help='names and colours of this data set, e.g. cityscapes')
    parser.add_argument('--no-pictures', action='store_true', help='write labels only')
    common.add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    from rich.progress import track

    from mmseg.apis import MMSegInferencer
    from mmseg.apis.pipeline import images_in
    from mmseg.utils.config import read_config
    checkpoint = common.existing_file(args.checkpoint)
    cfg = read_config(args.config, common.parse_options(args.cfg_options))
    files = [file for name in args.inputs for file in (images_in(name) if os.path.isdir(name) else [name])]
    common.writable_folder(args.out_dir)
    inferencer = MMSegInferencer(cfg, checkpoint, dataset_name=args.palette, device=args.device)
    inferencer.show_progress = False
    batches = [files[start:start + args.batch_size] for start in range(0, len(files), args.batch_size)]
    for batch in track(batches, description=f'Labelling {len(files)} images'):
        inferencer(batch, batch_size=args.batch_size, out_dir=args.out_dir, opacity=args.opacity,
                   with_labels=args.with_labels, img_out_dir='' if args.no_pictures else 'vis')
    print(f'{len(files)} images labelled: see {args.out_dir}')
