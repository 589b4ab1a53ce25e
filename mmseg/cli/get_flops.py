"""Count the multiplications (with an addition each) and the parameters of a model.

    mmseg get-flops fcn_r50-d8_4xb2-40k_cityscapes-512x1024 --shape 1024 2048

Convolutions, matrix products and attention are counted, in one pass over a whole image; nothing is computed, so the
size does not matter.
"""
from __future__ import annotations

import argparse

from mmseg.cli import common


def add_arguments(parser: argparse.ArgumentParser) -> None:
    common.add_config(parser)
    parser.add_argument('--shape', type=int, nargs='+', default=[2048, 1024], metavar='SIDE',
                        help='height and width of the image, or one number for a square (2048 1024)')
    common.add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    from mmseg.utils.config import read_config
    cfg = read_config(args.config, common.parse_options(args.cfg_options))
    shape = (common.bands_of(cfg), *common.height_and_width(args.shape))
    flops, parameters = count(cfg, shape)
    print(f'Input shape: {shape}')
    print(f'Flops: {flops[""] / 1e9:.2f} GMac')
    for name, number in flops.items():
        if name:
            print(f'    {name}: {number / 1e9:.2f} GMac')
    print(f'Params: {parameters / 1e6:.2f} M')


def count(cfg, shape: tuple[int, int, int]) -> tuple[dict[str, int], int]:
    """Count multiply-adds of an image (C, H, W), as a whole (`''`) and for each part of the model, and parameters."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from mmseg.registry import MODELS
    with torch.device('meta'):
        model = MODELS.build(cfg.model).eval()
        image = torch.empty(1, *shape)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(image, mode='tensor')
    root = type(model).__name__
    by_module = {name: sum(numbers.values()) // 2 for name, numbers in counter.get_flop_counts().items()}
    parts = {name.removeprefix(f'{root}.'): flops for name, flops in by_module.items() if name.count('.') == 1}
    total = by_module['Global']
    parts['decode_head'] = total - sum(parts.values())  # its methods are called without the hooks that the counter sets
    return {'': total, **parts}, sum(weight.numel() for weight in model.parameters())
