"""Label a raster of any size, window by window, in memory that does not grow with it.

    mmseg predict-raster CONFIG CHECKPOINT scene.tif --out labels.tif
    mmseg predict-raster CONFIG CHECKPOINT scene.tif --window 1024 --stride 768 --batch-size 8
    mmseg predict-raster CONFIG CHECKPOINT scene.tif --bands 4 3 2

The logits of overlapping windows are blended, so no seam shows. The labels become a TIFF of the raster's size and
georeference. A run that was stopped goes on where it was when the same command is given again.
"""
from __future__ import annotations

import argparse
import sys

from mmseg.cli import common
from mmseg.utils.errors import InputError

USUAL_WINDOW = (512, 512)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    common.add_config(parser)
    parser.add_argument('checkpoint', metavar='CHECKPOINT', help='trained weights')
    parser.add_argument('raster', metavar='RASTER', help='a TIFF; with rasterio installed, any format that GDAL knows')
    parser.add_argument('--out', metavar='FILE', help='where the labels go (NAME_label.tif beside the raster)')
    parser.add_argument('--window', type=int, nargs='+', metavar='SIDE',
                        help='height and width of the windows (the crops of CONFIG, or 512)')
    parser.add_argument('--stride', type=int, nargs='+', metavar='SIDE',
                        help='rows and columns from one window to the next (three quarters of the window)')
    parser.add_argument('--batch-size', type=int, default=1, help='windows that go through together (1)')
    parser.add_argument('--threads', type=int, default=2, help='threads that read ahead (2)')
    parser.add_argument('--bands', type=int, nargs='+', metavar='N',
                        help='bands for the network in its order, from 1 (as the images of CONFIG are loaded)')
    parser.add_argument('--restart', action='store_true', help='begin anew, whatever an earlier run has left')
    parser.add_argument('--device', help='cpu, cuda, cuda:1 … (a GPU if there is one)')
    parser.add_argument('--amp', action='store_true', help='mixed precision: float16 on a GPU, bfloat16 on a CPU')
    common.add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    from mmseg.apis.inference import choose_device, load_model
    from mmseg.apis.remote_sense_inferencer import RSImage, RSInferencer
    from mmseg.apis.speed import accelerate
    from mmseg.utils.config import read_config
    checkpoint = common.existing_file(args.checkpoint)
    cfg = read_config(args.config, common.parse_options(args.cfg_options))
    image = RSImage(args.raster)
    window, stride = windows_of(cfg, args)
    model = accelerate(load_model(cfg, checkpoint, choose_device(args.device)))
    inferencer = RSInferencer(model, args.batch_size, args.threads, args.bands, args.amp)
    with Progress() as progress:
        done = inferencer.run(image, window[::-1], stride[::-1], args.out, not args.restart, progress)
    resumed = f'; the first {done} were there already' if done else ''
    print(f'{image.height} rows of {image.width} pixels labelled{resumed}: see {image.label_path(args.out)}')


def windows_of(cfg, args: argparse.Namespace) -> tuple[tuple[int, int], tuple[int, int]]:
    """Height and width of the windows, and rows and columns between them."""
    if args.window:
        window = common.height_and_width(args.window)
    else:
        size = (cfg.model.get('test_cfg') or {}).get('crop_size') or (
            cfg.model.get('data_preprocessor') or {}).get('size') or USUAL_WINDOW
        window = (size, size) if isinstance(size, int) else tuple(size)
    stride = common.height_and_width(args.stride) if args.stride else tuple(max(1, 3 * side // 4) for side in window)
    if any(step > side for step, side in zip(stride, window)):
        raise InputError(f'--stride {stride} is longer than the window {window}, so pixels would be left out')
    return window, stride


class Progress:
    """Shows finished rows and the time that is left, on stderr, where a person watches."""

    def __init__(self):
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar
        self._bar = Bar(TextColumn('Labelling rows'), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
                        TextColumn('left'), TimeRemainingColumn(), console=Console(stderr=True),
                        disable=not sys.stderr.isatty())
        self._task = self._bar.add_task('rows', total=None)

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(self, *error) -> None:
        self._bar.stop()

    def __call__(self, rows: int, total: int) -> None:
        self._bar.update(self._task, completed=rows, total=total)
