"""Write a model as a file that runs without this library: onnx, openvino, torchscript or torch-export.

    mmseg export onnx CONFIG CHECKPOINT --shape 512 1024 --verify
    mmseg export onnx CONFIG CHECKPOINT --dynamic-export --verify --input-img street.png
    mmseg export onnx CONFIG CHECKPOINT --end-to-end                takes a uint8 image as OpenCV reads it, gives labels
    mmseg export openvino CONFIG CHECKPOINT --output-file model.xml
    mmseg export torchscript CONFIG CHECKPOINT --verify

The file predicts whole images. It takes what the data preprocessor of CONFIG makes of them, float32 (N, bands, H, W),
and gives logits (N, classes, H, W), unless --normalize, --resize and --argmax (--end-to-end: all of them) put more into
it. `mmseg deploy-test` evaluates it; `mmseg onnx2tensorrt` makes an engine of an ONNX file.
"""
from __future__ import annotations

import argparse
from pathlib import Path

from mmseg.cli import common
from mmseg.utils.errors import InputError

SUFFIXES = {'onnx': '.onnx', 'openvino': '.xml', 'torchscript': '.pt', 'torch-export': '.pt2'}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('format', choices=SUFFIXES, help='kind of file')
    common.add_config(parser)
    parser.add_argument('weights', nargs='?', metavar='CHECKPOINT', help='trained weights; random ones without')
    parser.add_argument('--checkpoint', metavar='FILE', help='the same, as the scripts of 0.x take it')
    parser.add_argument('--output-file', metavar='FILE', help='where to write (CONFIG with the suffix of the kind)')
    parser.add_argument('--shape', type=int, nargs='+', metavar='SIDE',
                        help='height and width of the images (those that CONFIG tests; of the windows in slide mode)')
    parser.add_argument('--rescale-shape', type=int, nargs='+', metavar='SIDE',
                        help="height and width of logits or labels (the image's)")
    parser.add_argument('--batch-size', type=int, default=1, help='images that go through together (1)')
    parser.add_argument('--dynamic-export', action='store_true', help='for images of any height and width')
    parser.add_argument('--normalize', action='store_true',
                        help='take uint8 images (N, H, W, bands), BGR, and prepare them inside')
    parser.add_argument('--resize', action='store_true', help='resize images to --shape inside; takes any size')
    parser.add_argument('--argmax', action='store_true', help='give labels (N, H, W) instead of logits')
    parser.add_argument('--end-to-end', action='store_true', help='--normalize --resize --argmax')
    parser.add_argument('--opset-version', type=int, metavar='N', help="version of ONNX's operators")
    parser.add_argument('--fuse-conv-bn', action='store_true', help='put batch normalisation into the convolutions')
    parser.add_argument('--input-img', metavar='IMAGE', help='image to verify with (the one of the demo)')
    parser.add_argument('--verify', action='store_true',
                        help='compare the file with the model; delete it if it differs')
    parser.add_argument('--show', action='store_true', help='show what model and file make of the image')
    common.add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    from mmseg.export.export import export_model
    cfg, model = load(args)
    sides = input_sides(args, cfg)
    path = Path(args.output_file or Path(args.config).stem + SUFFIXES[args.format])
    if path.suffix != SUFFIXES[args.format]:
        raise InputError(f'--output-file of {args.format} ends with {SUFFIXES[args.format]}, found {path.name!r}')
    common.writable_folder(path.parent)
    image = read_image(args.input_img, common.bands_of(cfg)) if args.verify or args.show else None
    outcome = export_model(
        model, path, args.format, sides, bands=common.bands_of(cfg), batch_size=args.batch_size,
        dynamic=args.dynamic_export or args.resize or args.end_to_end, interface=interface_of(args, sides),
        opset=args.opset_version, image=image if args.verify else None)
    for comparison in outcome.compared:
        print(f'{path.name}, {comparison}')
    for height, width in outcome.refused:
        print(f'{path.name} is not for images of {height} x {width}')
    if (outcome.multiple or 1) > 1:
        print(f'{path.name} takes sides that are multiples of {outcome.multiple}')
    if args.show:
        show(model, path, image, sides)
    print(f'{path} is written')


def load(args: argparse.Namespace):
    """Read config and checkpoint; returns the config and the model on the CPU."""
    from mmseg.apis.inference import load_model
    from mmseg.utils.config import read_config
    if args.weights and args.checkpoint:
        raise InputError(f'two checkpoints are given, {args.weights} and {args.checkpoint}: leave one out')
    checkpoint = args.checkpoint or args.weights
    cfg = read_config(args.config, common.parse_options(args.cfg_options))
    model = load_model(cfg, checkpoint and common.existing_file(checkpoint), 'cpu')
    if args.fuse_conv_bn:
        from mmseg.apis.speed import fuse_conv_bn
        model = fuse_conv_bn(model)
    return cfg, model


def input_sides(args: argparse.Namespace, cfg) -> tuple[int, int]:
    """Return height and width of the images: as asked for, of the windows, or of the images that the config tests."""
    from mmseg.cli.benchmark import test_shape
    if args.shape:
        return common.height_and_width(args.shape)
    options = cfg.model.get('test_cfg') or {}
    return tuple(options['crop_size']) if options.get('mode') == 'slide' else test_shape(cfg)


def interface_of(args: argparse.Namespace, sides: tuple[int, int]):
    """Return what the file shall take and give."""
    from mmseg.export.network import Interface
    return Interface(
        takes_image=args.normalize or args.end_to_end, gives_labels=args.argmax or args.end_to_end,
        network_size=sides if args.resize or args.end_to_end else None,
        output_size=common.height_and_width(args.rescale_shape) if args.rescale_shape else None)


def read_image(path: str | None, bands: int):
    """Read an image for the comparison, or make one of as many bands as the model takes."""
    import numpy as np

    from mmseg.utils.config import configs_folder
    if path is None:
        path = str(configs_folder().parent / 'demo' / 'demo.png')
    import cv2
    image = cv2.imread(common.existing_file(path), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise InputError(f'cannot read the image {path}')
    image = image.reshape(*image.shape[:2], -1).astype(np.uint8)
    return image[..., np.arange(bands) % image.shape[2]]


def show(model, path: Path, image, sides: tuple[int, int]) -> None:
    """Show image and labels: of the model on the left, of the file on the right."""
    import torch

    from mmseg.export.backends import open_exported
    from mmseg.export.network import ExportNetwork
    from mmseg.export.verify import prepared
    exported = open_exported(path)
    given = prepared(image, exported.interface, model.data_preprocessor, sides)
    with torch.no_grad():
        expected = ExportNetwork(model, exported.interface)(torch.from_numpy(given)).numpy()
    draw_side_by_side(image, [expected, exported(given)], exported.interface, model.dataset_meta,
                      f'model | {path.name}')


def draw_side_by_side(image, made, interface, colours: dict, title: str) -> None:
    """Draw what several networks make of an image over it, and show that."""
    import cv2
    import numpy as np
    import torch
    from mmengine.structures import PixelData

    from mmseg.export.verify import labels_of
    from mmseg.structures import SegDataSample
    from mmseg.visualization import SegLocalVisualizer
    visualizer = SegLocalVisualizer(**colours)
    panels = []
    for each in made:
        labels = torch.from_numpy(labels_of(each, interface)[:1].astype(np.int64))
        picture = np.ascontiguousarray(cv2.resize(image[..., :3], labels.shape[:0:-1])[..., ::-1])
        panels.append(visualizer.draw(picture, SegDataSample(pred_sem_seg=PixelData(data=labels)), draw_gt=False))
    visualizer.publish(title, np.concatenate(panels, axis=1), True, 0, None)
