"""Print a config with everything that it inherits.

    mmseg print-config fcn_r50-d8_4xb2-40k_cityscapes-512x1024
    mmseg print-config CONFIG --cfg-options model.backbone.depth=18 --save-path whole.py
    mmseg print-config CONFIG --graph          draw the modules of the model as a tree, too
"""
from __future__ import annotations

import argparse
from collections.abc import Iterator

from mmseg.cli import common


def add_arguments(parser: argparse.ArgumentParser) -> None:
    common.add_config(parser)
    parser.add_argument('--graph', action='store_true', help='draw the modules of the model too')
    parser.add_argument('--save-path', metavar='FILE', help='write the config to this .py, .json or .yaml file as well')
    common.add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    from pathlib import Path

    from mmseg.utils.config import read_config, require_model
    cfg = read_config(args.config, common.parse_options(args.cfg_options))
    print(cfg.pretty_text)
    if args.save_path:
        common.writable_folder(Path(args.save_path).parent)
        cfg.dump(args.save_path)
    if args.graph:
        import torch

        from mmseg.registry import MODELS
        require_model(cfg)
        with torch.device('meta'):
            model = MODELS.build(cfg.model)
        print('\n'.join(['', *tree(cfg.model.type, model)]))


def tree(name: str, module) -> Iterator[str]:
    """Draw a module and all that is in it, one a line, with the number of its parameters."""
    parameters = sum(weight.numel() for weight in module.parameters())
    parts = list(module.named_children())
    what = f'{module._get_name()}' + (f'({module.extra_repr()})' if module.extra_repr() and not parts else '')
    yield f'{name}: {what}' + (f'  {parameters:,}' if parameters else '')
    for number, (part, child) in enumerate(parts):
        last = number == len(parts) - 1
        first, *rest = tree(part, child)
        yield f'{"└─ " if last else "├─ "}{first}'
        yield from (f'{"   " if last else "│  "}{line}' for line in rest)
