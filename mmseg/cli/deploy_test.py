"""Evaluate an exported model on the test images of a config, as `mmseg test` does a checkpoint.

    mmseg deploy-test CONFIG model.onnx onnxruntime --eval mIoU
    mmseg deploy-test CONFIG model.xml openvino --show-dir pictures
    mmseg deploy-test CONFIG model.onnx openvino --out results.pkl

CONFIG is the one that the model was exported from: it names the data and says how images are prepared. Images of
several sizes take a file that was exported with --dynamic-export, or windows (model.test_cfg.mode=slide).
"""
from __future__ import annotations

import argparse

from mmseg.cli import common, test

DEFAULT_THRESHOLD = 0.3  # of a head with a single channel
BACKENDS = ('onnxruntime', 'openvino', 'tensorrt', 'torchscript', 'torch-export')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    common.add_config(parser)
    parser.add_argument('model', metavar='FILE', help='the exported model')
    parser.add_argument('backend', nargs='?', choices=BACKENDS, help='what runs it (as its suffix says)')
    parser.add_argument('--device', default='cpu', help='cpu, cuda, cuda:1 … (cpu)')
    test.add_output_arguments(parser)
    common.add_folders(parser)
    common.add_cfg_options(parser)
    common.add_launcher(parser)


def run(args: argparse.Namespace) -> None:
    cfg = common.run_config(args)
    put_file(cfg, args.model, args.backend, args.device)
    cfg.load_from, cfg.resume = None, False
    test.choose_metrics(cfg, args)
    if args.show or args.show_dir:
        test.draw_pictures(cfg, args)
    common.build_runner(cfg).test()


def put_file(cfg, file: str, backend: str | None, device: str) -> None:
    """Put an exported file in the place of a config's model."""
    import mmseg.export.segmentor  # noqa: F401  (registers it)
    from mmseg.engine.classes import fill_num_classes
    from mmseg.export.backends import open_exported
    known = open_exported(file, backend, device).notes.get('classes')
    fill_num_classes(cfg.model, dict(metainfo=dict(classes=known)) if known else cfg.test_dataloader.dataset)
    head = cfg.model.decode_head[-1] if isinstance(cfg.model.decode_head, list) else cfg.model.decode_head
    cfg.model = dict(
        type='ExportedSegmentor', file=str(file), backend=backend, device=device, num_classes=head.get('num_classes'),
        data_preprocessor=cfg.model.get('data_preprocessor'), test_cfg=cfg.model.get('test_cfg'),
        align_corners=head.get('align_corners', False),
        threshold=head.get('threshold', DEFAULT_THRESHOLD if head.get('out_channels') == 1 else None))
