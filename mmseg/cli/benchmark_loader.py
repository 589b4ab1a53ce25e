"""Measure how fast a config loads its training images, and what takes the time.

    mmseg benchmark-loader CONFIG
    mmseg benchmark-loader CONFIG --workers 2 4 8 --images 400
    mmseg benchmark-loader CONFIG --split val --format json --out loading.json

First the images per second of the whole dataloader for each number of worker processes; then, in this process alone,
the share of each step: listing, every transform of the pipeline (joined steps count as one), collating.
"""
from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from pathlib import Path

from mmseg.cli import common
from mmseg.utils.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    common.add_config(parser)
    parser.add_argument('--split', choices=('train', 'val', 'test'), default='train', help='whose dataloader (train)')
    parser.add_argument('--workers', type=int, nargs='+', metavar='N', help='processes (as configured)')
    parser.add_argument('--batch-size', type=int, metavar='N', help='images of a batch (as configured)')
    parser.add_argument('--images', type=int, default=200, metavar='N', help='to load for each measurement (200)')
    parser.add_argument('--warm-up', type=int, default=4, metavar='N', help='batches before that do not count (4)')
    parser.add_argument('--repeats', '--repeat-times', type=int, default=1, metavar='N', help='keep the best of N (1)')
    parser.add_argument('--format', choices=('text', 'json'), default='text', help='of the report')
    parser.add_argument('--out', metavar='FILE', help='write the report to this file too')
    common.add_data_root(parser)
    common.add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    import cv2

    from mmseg.utils.config import find_config
    cfg = common.data_config(args)
    loader = cfg.get(f'{args.split}_dataloader')
    if not loader:
        raise InputError(f'{args.config} has no {args.split}_dataloader')
    if args.images < 1 or args.repeats < 1:
        raise InputError(f'--images {args.images} --repeats {args.repeats}: expected at least 1')
    cv2.setNumThreads(((cfg.get('env_cfg') or {}).get('mp_cfg') or {}).get('opencv_num_threads', 0))
    if args.batch_size:
        loader['batch_size'] = args.batch_size
    result = dict(config=find_config(args.config).stem, split=args.split, batch_size=loader['batch_size'],
                  loading=[measure_loader(loader, workers, args)
                           for workers in args.workers or [loader.get('num_workers', 0)]],
                  **measure_steps(loader, args))
    text = json.dumps(result, indent=1) if args.format == 'json' else as_text(result)
    print(text)
    if args.out:
        common.writable_folder(Path(args.out).parent)
        Path(args.out).write_text(text + '\n', encoding='utf-8')


def measure_loader(loader: dict, workers: int, args: argparse.Namespace) -> dict:
    """Load batches with so many worker processes, from a loader that is already under way; the best of some runs."""
    from mmengine.runner import Runner
    config = {**loader, 'num_workers': workers, 'persistent_workers': False}
    if not workers:
        config.pop('prefetch_factor', None)
    batches = endless(Runner.build_dataloader(config, seed=0))
    for _ in range(args.warm_up):
        next(batches)
    count = max(args.images // loader['batch_size'], 1)
    best = float('inf')
    for _ in range(args.repeats):
        start = time.perf_counter()
        for _ in range(count):
            next(batches)
        best = min(best, time.perf_counter() - start)
    batches.close()
    return {'workers': workers, 'images': count * loader['batch_size'],
            'images/s': round(count * loader['batch_size'] / best, 2)}


def endless(loader):
    """Yield the batches of a dataloader again and again."""
    while True:
        yield from loader


class Timed:
    """A step that counts the seconds it takes."""

    def __init__(self, step, seconds: dict[str, float]):
        self.step, self.seconds = step, seconds
        resize, crop = getattr(step, 'resize', None), getattr(step, 'crop', None)
        joined = resize is not None and hasattr(crop, 'transform')
        self.name = ' + '.join(type(part).__name__ for part in ((resize, crop) if joined else (step,)))

    def __call__(self, results: dict):
        start = time.perf_counter()
        try:
            return self.step(results)
        finally:
            self.seconds[self.name] += time.perf_counter() - start

    def __getattr__(self, name: str):
        return getattr(self.step, name)


def measure_steps(loader: dict, args: argparse.Namespace) -> dict:
    """Take the time of each step over some images, in this process."""
    import numpy as np
    from mmengine.dataset import pseudo_collate

    from mmseg.registry import DATASETS
    np.random.seed(0)  # noqa: NPY002  (the generator that the transforms draw from)
    dataset = DATASETS.build(loader['dataset'])
    seconds: dict[str, float] = defaultdict(float)
    order = np.random.permutation(len(dataset))  # noqa: NPY002
    dataset[int(order[0])]  # what is set up once
    time_pipelines(dataset, seconds)
    start = time.perf_counter()
    samples = []
    for position in range(args.images):
        samples.append(dataset[int(order[position % len(order)])])
        if len(samples) == loader['batch_size']:
            begin = time.perf_counter()
            pseudo_collate(samples)
            seconds['collate'] += time.perf_counter() - begin
            samples = []
    total = time.perf_counter() - start
    seconds['list of samples, and the rest'] = max(total - sum(seconds.values()), 0)
    return {'ms/image': round(total / args.images * 1e3, 3),
            'steps': [{'step': name, 'ms/image': round(spent / args.images * 1e3, 3),
                       'share': round(spent / total * 100, 1)} for name, spent in seconds.items()]}


def time_pipelines(dataset, seconds: dict[str, float]) -> None:
    """Replace the steps of a data set, and of those inside it, with timed ones."""
    from mmseg.datasets.transforms.compose import Compose, fuse
    for inner in [getattr(dataset, 'dataset', None), *getattr(dataset, 'datasets', ())]:
        if inner is not None:
            time_pipelines(inner, seconds)
    pipeline = getattr(dataset, 'pipeline', None)
    if isinstance(pipeline, list):  # a mixing data set calls them one by one
        dataset.pipeline = [Timed(step, seconds) for step in pipeline]
    elif pipeline is not None:
        steps = fuse(pipeline.transforms) if isinstance(pipeline, Compose) else pipeline.transforms
        dataset.pipeline = Compose([Timed(step, seconds) for step in steps])


def as_text(result: dict) -> str:
    lines = [f'{result["config"]}, {result["split"]}, batches of {result["batch_size"]}']
    lines += [f'{found["workers"]} workers: {found["images/s"]} images/s' for found in result['loading']]
    lines += ['', f'steps in one process, {result["ms/image"]} ms an image:']
    wide = max(len(step['step']) for step in result['steps'])
    lines += [f'    {step["step"]:{wide}} {step["ms/image"]:9.3f} ms {step["share"]:5.1f} %'
              for step in result['steps']]
    return '\n'.join(lines)
