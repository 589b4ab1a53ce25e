"""Count the multiplications (with an addition each) and the parameters of a model.

    mmseg get-flops fcn_r50-d8_4xb2-40k_cityscapes-512x1024 --shape 1024 2048
    mmseg get-flops segformer_mit-b0_8xb2-160k_ade20k-512x512 --shape 512 --depth 3

Convolutions, matrix products and attention are counted, in one pass over a whole image; nothing is computed, so the
size does not matter.
"""
from __future__ import annotations

import argparse
from dataclasses import dataclass

from mmseg.cli import common


@dataclass
class Cost:
    """Multiply-adds and parameters of a module with all that is in it."""

    flops: int = 0
    parameters: int = 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    common.add_config(parser)
    parser.add_argument('--shape', type=int, nargs='+', default=[2048, 1024], metavar='SIDE',
                        help='height and width of the image, or one number for a square (2048 1024)')
    parser.add_argument('--depth', type=int, default=1, metavar='N', help='tell modules down to this depth apart (1)')
    common.add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    from mmseg.utils.config import read_config, require_model
    cfg = read_config(args.config, common.parse_options(args.cfg_options))
    require_model(cfg)
    shape = (common.bands_of(cfg), *common.height_and_width(args.shape))
    costs = count(cfg, shape)
    total = costs.pop('')
    print(f'Input shape: {shape}')
    print(f'Flops: {total.flops / 1e9:.2f} GMac')
    print(f'Params: {total.parameters / 1e6:.2f} M')
    rows = [(name, cost) for name, cost in costs.items()
            if name.count('.') < args.depth and (cost.flops or cost.parameters)]
    width = max((len(name) for name, _ in rows), default=0)
    print(f'\n{"module":<{width}}  {"GMac":>10}  {"share":>6}  {"M params":>10}')
    for name, cost in rows:
        share = 100 * cost.flops / max(total.flops, 1)
        print(f'{name:<{width}}  {cost.flops / 1e9:10.3f}  {share:5.1f}%  {cost.parameters / 1e6:10.3f}')


def count(cfg, shape: tuple[int, int, int]) -> dict[str, Cost]:
    """Count multiply-adds of an image (C, H, W), and parameters, of each module by name; `''` is the whole model."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from mmseg.registry import MODELS
    with torch.device('meta'):
        model = MODELS.build(cfg.model).eval()
        image = torch.empty(1, *shape)
    costs = {name: Cost(parameters=sum(weight.numel() for weight in module.parameters()))
             for name, module in model.named_modules()}
    counter = FlopCounterMode(display=False)
    called = _count_calls(model, counter, costs)
    with counter, torch.no_grad():
        model(image, mode='tensor')
    costs[''].flops = counter.get_total_flops() // 2
    _fill_uncalled(costs, called)
    return costs


def _count_calls(model, counter, costs: dict[str, Cost]) -> set[str]:
    """Note at each module what its calls add to the counter; returns the names, once it runs, of those called."""
    called, before = {''}, []

    def enter(module, inputs):
        before.append(counter.get_total_flops())

    for name, module in model.named_modules():
        def leave(module, inputs, output, name=name):
            costs[name].flops += (counter.get_total_flops() - before.pop()) // 2
            called.add(name)
        if name:
            module.register_forward_pre_hook(enter)
            module.register_forward_hook(leave)
    return called


def _fill_uncalled(costs: dict[str, Cost], called: set[str]) -> None:
    """A module whose methods are called directly, as a decode head's, has what its parts have, and a head what
    nothing else has. Parents come before their parts in `costs`, so parts are summed first.
    """
    for name in reversed(list(costs)):
        if name not in called:
            costs[name].flops = sum(costs[part].flops for part in _parts(costs, name))
    if 'decode_head' in costs and 'decode_head' not in called:
        costs['decode_head'].flops += costs[''].flops - sum(costs[part].flops for part in _parts(costs, ''))


def _parts(costs: dict[str, Cost], name: str) -> list[str]:
    prefix = f'{name}.' if name else ''
    return [other for other in costs if other.startswith(prefix) and other != name
            and '.' not in other[len(prefix):] and other]
