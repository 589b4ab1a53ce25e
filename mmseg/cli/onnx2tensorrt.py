"""Build a TensorRT engine from an ONNX file, on the GPU that shall run it.

    mmseg onnx2tensorrt CONFIG model.onnx --trt-file model.engine --verify
    mmseg onnx2tensorrt CONFIG model.onnx --fp16 --min-shape 256 256 --max-shape 1024 2048 --shape 512 1024

The engine of a file of open height and width takes images from --min-shape to --max-shape.
`mmseg deploy-test CONFIG model.engine tensorrt` evaluates it.
"""
from __future__ import annotations

import argparse
from pathlib import Path

from mmseg.cli import common
from mmseg.utils.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    common.add_config(parser)
    parser.add_argument('model', metavar='FILE.onnx', help='what `mmseg export onnx` wrote')
    parser.add_argument('--trt-file', metavar='FILE', help='where to write the engine (FILE.engine)')
    parser.add_argument('--shape', type=int, nargs='+', metavar='SIDE', help='height and width to be fastest for')
    parser.add_argument('--min-shape', type=int, nargs='+', metavar='SIDE', help='least height and width (--shape)')
    parser.add_argument('--max-shape', type=int, nargs='+', metavar='SIDE', help='largest height and width (--shape)')
    parser.add_argument('--fp16', action='store_true', help='allow float16')
    parser.add_argument('--workspace-size', type=float, default=1, metavar='GIB', help='memory for kernels (1 GiB)')
    parser.add_argument('--input-img', metavar='IMAGE', help='image to verify with (the one of the demo)')
    parser.add_argument('--dataset', metavar='NAME', help='whose colours --show takes (those of CONFIG)')
    parser.add_argument('--verify', action='store_true',
                        help='compare the engine with the ONNX file; delete it if it differs')
    parser.add_argument('--show', action='store_true', help='show what both make of the image')
    parser.add_argument('--verbose', action='store_true', help='show what TensorRT says')
    common.add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    from mmseg.export.backends import open_exported
    from mmseg.export.tensorrt import build_engine, require_tensorrt
    require_tensorrt()
    source = open_exported(common.existing_file(args.model), 'onnxruntime')
    sizes = sizes_of(args, source)
    path = Path(args.trt_file or Path(args.model).with_suffix('.engine'))
    common.writable_folder(path.parent)
    build_engine(args.model, path, sizes, half=args.fp16, workspace_gib=args.workspace_size, verbose=args.verbose)
    if args.verify or args.show:
        compare_and_show(args, source, path, sizes.usual)
    print(f'{path} is written')


def sizes_of(args: argparse.Namespace, source):
    """Return the sizes that the engine shall take: as asked for, or those of a file of one size."""
    from mmseg.cli.benchmark import test_shape
    from mmseg.export.tensorrt import Sizes
    from mmseg.utils.config import read_config
    fixed = source.shape[1:3] if source.interface.takes_image else source.shape[2:4]
    given = {name: common.height_and_width(getattr(args, name)) if getattr(args, name) else None
             for name in ('shape', 'min_shape', 'max_shape')}
    if None not in fixed:
        other = [size for size in given.values() if size not in (None, tuple(fixed))]
        if other:
            raise InputError(f'{args.model} takes images of {fixed[0]} x {fixed[1]} pixels, not of {other[0][0]} x '
                             f'{other[0][1]}: export it with --dynamic-export')
        return Sizes(fixed, fixed, fixed)
    usual = given['shape'] or given['max_shape'] or test_shape(
        read_config(args.config, common.parse_options(args.cfg_options)))
    return Sizes(given['min_shape'] or usual, usual, given['max_shape'] or usual)


def compare_and_show(args: argparse.Namespace, source, path: Path, sides: tuple[int, int]) -> None:
    """Compare engine and ONNX file on an image; an engine that differs is deleted."""
    import numpy as np

    from mmseg.apis.class_info import class_info, info_of_dataset
    from mmseg.cli.export import draw_side_by_side, read_image
    from mmseg.export.backends import open_exported
    from mmseg.export.verify import compared, prepared
    from mmseg.registry import MODELS
    from mmseg.utils.config import read_config
    cfg = read_config(args.config, common.parse_options(args.cfg_options))
    image = read_image(args.input_img, common.bands_of(cfg))
    given = np.ascontiguousarray(prepared(image, source.interface, MODELS.build(cfg.model.data_preprocessor), sides))
    engine = open_exported(path, 'tensorrt')
    expected, found = source(given), engine(given)
    if args.verify:
        comparison = compared(expected, found, source.interface, sides)
        print(f'{path.name}, {comparison}')
        if not comparison.agrees(half=args.fp16):
            path.unlink()
            raise InputError(f'{path.name} computes something else than {args.model}, so it was deleted')
    if args.show:
        classes = source.notes.get('classes')
        colours = info_of_dataset(args.dataset, None) if args.dataset else class_info(
            cfg, dict(meta=dict(classes=classes)) if classes else None, len(classes) if classes else None)
        draw_side_by_side(image, [expected, found], source.interface, colours, f'{args.model} | {path.name}')
