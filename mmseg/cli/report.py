"""Evaluate a checkpoint and write what there is to know about it as one HTML page.

    mmseg report CONFIG CHECKPOINT
    mmseg report CONFIG CHECKPOINT --out report.html --examples 6
    mmseg report CONFIG CHECKPOINT --limit 100 --data-root my_data

The page holds mIoU and its kin with confidence intervals over images, IoU and boundary IoU of each class, the confusion
matrix, calibration, the best and the worst images with their errors, speed, memory and the config. It needs no other
file and no network, so it can be mailed.
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mmseg.cli import common
from mmseg.utils.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    common.add_config(parser)
    parser.add_argument('checkpoint', metavar='CHECKPOINT', help='weights to evaluate')
    parser.add_argument('--out', metavar='FILE', help='the page (work_dirs/CONFIG/report.html)')
    parser.add_argument('--examples', type=int, default=4, metavar='N',
                        help='how many of the best and of the worst images to show (4)')
    parser.add_argument('--limit', type=int, metavar='N', help='evaluate N images, spread evenly (all)')
    parser.add_argument('--device', help='cpu, cuda, cuda:1 … (a GPU if there is one)')
    parser.add_argument('--amp', action='store_true', help='mixed precision: float16 on a GPU, bfloat16 on a CPU')
    common.add_data_root(parser)
    common.add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    from rich.console import Console
    from rich.progress import track

    from mmseg.apis.inference import choose_device, load_model
    from mmseg.apis.report import evaluate_for_report
    from mmseg.apis.speed import accelerate
    from mmseg.utils.config import find_config
    from mmseg.visualization.report.page import make_page
    checkpoint = common.existing_file(args.checkpoint)
    if args.examples < 0:
        raise InputError(f'--examples takes a number from 0, found {args.examples}')
    cfg = common.data_config(args)
    page = Path(args.out or Path('work_dirs', find_config(args.config).stem, 'report.html'))
    common.writable_folder(page.parent)
    if page.is_dir():
        raise InputError(f'--out {page} is a folder: give a file, such as {page / "report.html"}')
    model = accelerate(load_model(cfg, checkpoint, choose_device(args.device)))
    report = evaluate_for_report(
        model, cfg, checkpoint, args.examples, args.limit, args.amp,
        lambda images, count: track(images, f'Evaluating {count} images', count, console=Console(stderr=True),
                                    disable=not sys.stderr.isatty()))
    page.write_text(make_page(report), encoding='utf-8')
    figures = ', '.join(f'{figure.name} {100 * figure.value:.2f}' for figure in report.figures)
    print(f'{figures}: see {page}')
