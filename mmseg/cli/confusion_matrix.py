"""Show which class a model takes for which.

    mmseg confusion-matrix CONFIG CHECKPOINT OUT_DIR
    mmseg confusion-matrix CONFIG labels/ OUT_DIR             labels that `mmseg test --out labels` wrote
    mmseg confusion-matrix CONFIG results.pkl OUT_DIR --title 'Baseline' --color-theme viridis

Into OUT_DIR go confusion_matrix.png, each row the pixels of one class in percent, and confusion_matrix.json with the
counts. The matrix is summed image by image, so its size does not depend on the data set.
"""
from __future__ import annotations

import argparse
from pathlib import Path

from mmseg.cli import common
from mmseg.utils.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    common.add_config(parser)
    parser.add_argument('prediction', metavar='CHECKPOINT|LABELS',
                        help='weights to evaluate, or the labels that were predicted: a folder of PNGs, or FILE.pkl')
    parser.add_argument('save_dir', metavar='OUT_DIR', help='where to write')
    parser.add_argument('--title', default='Normalized Confusion Matrix', help='of the picture')
    parser.add_argument('--color-theme', default='winter', metavar='NAME', help='colours of matplotlib (winter)')
    parser.add_argument('--ignore-index', type=int, help='label that does not count (as in CONFIG, or 255)')
    parser.add_argument('--show', action='store_true', help='show the picture in a window')
    common.add_data_root(parser)
    common.add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    import matplotlib

    from mmseg.cli import class_confusion
    if args.color_theme not in matplotlib.colormaps:
        raise InputError(f'--color-theme {args.color_theme}: matplotlib has winter, viridis, Blues, magma and more '
                         '(matplotlib.org/stable/gallery/color/colormap_reference.html)')
    folder = common.writable_folder(args.save_dir)
    source = Path(args.prediction)
    if source.is_dir() or source.suffix in ('.pkl', '.pickle'):
        matrix, classes = class_confusion.compare_labels(args, source)
    else:
        matrix, classes = class_confusion.evaluate(args, common.existing_file(args.prediction))
    class_confusion.write_json(matrix, classes, folder / 'confusion_matrix.json')
    picture = class_confusion.draw(matrix, classes, args.title, args.color_theme)
    picture.savefig(folder / 'confusion_matrix.png', bbox_inches='tight')
    print(f'{folder / "confusion_matrix.png"} and .json: {int(matrix.sum()):,} pixels of {len(classes)} classes')
    if args.show:
        from mmseg.visualization import SegLocalVisualizer
        from mmseg.visualization.files import read_image
        SegLocalVisualizer().show(read_image(folder / 'confusion_matrix.png'), args.title)
