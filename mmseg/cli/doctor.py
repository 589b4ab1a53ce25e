"""Look at every file of a data set and tell what is wrong with it.

    mmseg doctor CONFIG
    mmseg doctor CONFIG --data-root my_data --splits train val --json report.json
    mmseg doctor CONFIG --limit 200

Read with all cores, as the config reads them: class frequencies with ready class weights, numbers outside the classes,
ignored pixels, empty or unreadable files, labels of another size, in colours or in JPEG, images without labels, copies
between splits, mean and standard deviation of each band, sizes beside the crop, a doubtful reduce_zero_label.

The exit status is 0 where all is well, 1 where problems were found, and 2 where the config cannot be used.
"""
from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from mmseg.cli import common

SPLITS = ('train', 'val', 'test')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    common.add_config(parser)
    parser.add_argument('--splits', nargs='+', choices=SPLITS, default=list(SPLITS), help='which to look at (all)')
    common.add_data_root(parser)
    parser.add_argument('--limit', type=int, metavar='N', help='look at N images of each data set, spread evenly (all)')
    parser.add_argument('--workers', type=int, metavar='N', help='processes; 0 reads in this one (all cores)')
    parser.add_argument('--names', type=int, default=1000, metavar='N',
                        help='files to name in JSON for each kind of problem (1000)')
    parser.add_argument('--json', metavar='FILE', help='write the report as JSON too; - prints JSON instead of text')
    common.add_cfg_options(parser)


def run(args: argparse.Namespace) -> int:
    from mmseg.datasets.doctor.diagnosis import diagnose
    from mmseg.datasets.doctor.parallel import cores
    from mmseg.datasets.doctor.report import as_data, as_text
    from mmseg.utils.errors import InputError
    cfg = common.data_config(args)
    if not any(cfg.get(f'{name}_dataloader') for name in args.splits):
        raise InputError(f'{args.config} has none of {", ".join(f"{name}_dataloader" for name in args.splits)}')
    start = time.monotonic()
    workers = cores() if args.workers is None else args.workers
    diagnosis = diagnose(cfg, workers, tuple(args.splits), args.limit, args.names, show_progress)
    seconds = time.monotonic() - start
    data = json.dumps(as_data(diagnosis, args.config, seconds), indent=1)
    if args.json and args.json != '-':
        common.writable_folder(Path(args.json).parent)
        Path(args.json).write_text(data + '\n', encoding='utf-8')
    text = data if args.json == '-' else as_text(diagnosis, args.config, seconds)
    print(text.encode(errors='backslashreplace').decode())  # names of files may be no text
    return int(diagnosis.problems > 0)


def show_progress(findings, total: int, split: str):
    """Pass findings on, and show on stderr how many there are, where a person watches."""
    from rich.console import Console
    from rich.progress import track
    console = Console(stderr=True)
    return track(findings, f'Reading {split}', total, console=console, transient=True,
                 disable=not sys.stderr.isatty())
