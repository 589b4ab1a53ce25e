"""Train a model.

    mmseg train CONFIG
    mmseg train CONFIG --work-dir work_dirs/first --cfg-options train_dataloader.batch_size=4
    mmseg train CONFIG --resume                 go on from the last checkpoint in the work folder
    mmseg train CONFIG --amp --compile          in half precision, compiled
    bash tools/dist_train.sh CONFIG 4           on four GPUs
    bash tools/dist_train.sh CONFIG 4 --fsdp    a network that one of them cannot hold

Logs, checkpoints and the whole config are written to the work folder. Without a GPU (or with CUDA_VISIBLE_DEVICES=-1)
the CPU trains.
"""
from __future__ import annotations

import argparse
import os
import re

from mmseg.cli import common
from mmseg.utils.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    common.add_config(parser)
    common.add_folders(parser)
    parser.add_argument('--load-from', metavar='PATH', help='weights to begin with')
    parser.add_argument('--resume', '--resume-from', nargs='?', const='auto', metavar='PATH',
                        help='go on from this checkpoint, or (auto, the default) from the last in the work folder')
    parser.add_argument('--no-validate', action='store_true', help='do not evaluate in between')
    parser.add_argument('--amp', action='store_true', help='mixed precision: float16 on a GPU, bfloat16 on a CPU')
    parser.add_argument('--amp-dtype', choices=('float16', 'bfloat16'), help='mixed precision of this kind')
    parser.add_argument('--auto-scale-lr', action='store_true',
                        help='scale the learning rate by the batch size in use over that of the config')
    parser.add_argument('--accumulate', type=int, metavar='N', help='add up the gradients of N batches for each step')
    parser.add_argument('--compile', action='store_true', help='compile the network')
    parser.add_argument('--channels-last', action='store_true', help='keep activations in the order N H W C')
    parser.add_argument('--recompute', action='store_true',
                        help='compute activations again instead of keeping them: less memory, a third more time')
    parser.add_argument('--fsdp', action='store_true', help='share out the weights among the processes')
    parser.add_argument('--seed', type=int, help='seed of all random numbers')
    parser.add_argument('--deterministic', action='store_true', help='only deterministic kernels (slower)')
    common.add_cfg_options(parser)
    common.add_launcher(parser)


def run(args: argparse.Namespace) -> None:
    cfg = common.run_config(args)
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    if args.load_from:
        cfg.load_from = common.existing_file(args.load_from)
    if args.resume:
        cfg.resume = True
        cfg.load_from = None if args.resume == 'auto' else common.existing_file(args.resume)
    if args.seed is not None or args.deterministic:
        cfg.randomness = dict(cfg.get('randomness', {}), seed=args.seed, deterministic=args.deterministic)
    if args.amp or args.amp_dtype:
        use_mixed_precision(cfg, args.amp_dtype)
    if args.accumulate is not None:
        accumulate(cfg, args.accumulate)
    switches = dict(compile=args.compile, channels_last=args.channels_last, activation_checkpointing=args.recompute)
    for switch, wanted in switches.items():
        if wanted and not cfg.get(switch):
            cfg[switch] = True
    if args.fsdp:
        cfg.model_wrapper_cfg = dict(cfg.get('model_wrapper_cfg') or {}, type='MMFullyShardedDataParallel')
    if args.auto_scale_lr:
        scale_learning_rate(cfg)
    common.build_runner(cfg).train()


def use_mixed_precision(cfg, dtype: str | None = None) -> None:
    """Wrap the optimiser for mixed precision; fp16 gets a dynamic loss scale."""
    wrapper = cfg.optim_wrapper.get('type', 'OptimWrapper')
    if wrapper not in ('OptimWrapper', 'AmpOptimWrapper'):
        raise InputError(f'--amp replaces an OptimWrapper, but optim_wrapper.type of this config is {wrapper}: choose '
                         'a mixed-precision wrapper in the config itself')
    cfg.optim_wrapper.type = 'AmpOptimWrapper'
    cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
    if dtype is not None:
        cfg.optim_wrapper.dtype = dtype


def accumulate(cfg, batches: int) -> None:
    """Let each step of the optimiser see several batches; `max_iters` and the schedulers still count batches."""
    if batches < 1:
        raise InputError(f'--accumulate takes a number of batches from 1 on, found {batches}')
    cfg.optim_wrapper.accumulative_counts = batches


def scale_learning_rate(cfg) -> None:
    """Turn on `auto_scale_lr`; a config without a base batch size has it in its name (`4xb2` is 4 GPUs with 2 each)."""
    scaling = dict(cfg.get('auto_scale_lr') or {}, enable=True)
    if not scaling.get('base_batch_size'):
        size = re.search(r'(\d+)xb(\d+)', os.path.basename(cfg.filename))
        if size is None:
            raise InputError('--auto-scale-lr needs the batch size that the learning rate was chosen for: add '
                             f'auto_scale_lr=dict(base_batch_size=…) to {cfg.filename}')
        scaling['base_batch_size'] = int(size[1]) * int(size[2])
    cfg.auto_scale_lr = scaling
