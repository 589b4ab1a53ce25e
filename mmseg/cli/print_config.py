"""Print a config with everything that it inherits.

    mmseg print-config fcn_r50-d8_4xb2-40k_cityscapes-512x1024
    mmseg print-config CONFIG --cfg-options model.backbone.depth=18 --save-path whole.py
"""
from __future__ import annotations

import argparse

from mmseg.cli import common


def add_arguments(parser: argparse.ArgumentParser) -> None:
    common.add_config(parser)
    parser.add_argument('--graph', action='store_true', help='print the modules of the model too')
    parser.add_argument('--save-path', metavar='FILE', help='write the config to this .py, .json or .yaml file as well')
    common.add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    from mmseg.utils.config import read_config
    cfg = read_config(args.config, common.parse_options(args.cfg_options))
    print(cfg.pretty_text)
    if args.save_path:
        cfg.dump(args.save_path)
    if args.graph:
        import torch

        from mmseg.registry import MODELS
        with torch.device('meta'):
            print(MODELS.build(cfg.model))
