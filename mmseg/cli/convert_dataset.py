"""Convert a data set from the files that its owners publish to those that the configs read.

    mmseg convert-dataset cityscapes data/cityscapes --nproc 8
    mmseg convert-dataset potsdam downloads/Potsdam
    mmseg convert-dataset potsdam --help

Zip and tar archives, unpacked or not. A conversion that broke off goes on where it was when the command is given again.
At the end the files are counted beside the published numbers.
"""
from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module
from pathlib import Path

from mmseg.cli import HelpFormatter
from mmseg.datasets.converters import CONVERTERS


class _DatasetParser(argparse.ArgumentParser):
    """The parser of one data set's arguments, which are looked up when that data set is given."""

    def parse_known_args(self, args=None, namespace=None):
        module = _module(self.prog.split()[-1])
        self.description = module.__doc__
        module.CONVERTER.add_arguments(self)
        self.add_argument('--nproc', type=int, default=_processors(), metavar='N',
                          help=f'processes (as many as processors: {_processors()})')
        self.add_argument('--tmp-dir', '--tmp_dir', metavar='DIR',
                          help='where archives that cannot be read in place are unpacked (the output folder)')
        self.add_argument('--partial', action='store_true', help='convert what there is though archives are missing')
        self.add_argument('--no-disk-check', action='store_true', help='begin even if there may be too little room')
        return super().parse_known_args(args, namespace)


def _module(name: str):
    return import_module(f'mmseg.datasets.converters.{name}')


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    datasets = parser.add_subparsers(dest='dataset', metavar='DATASET [ARGUMENTS]', required=True,
                                     parser_class=_DatasetParser)
    for name, summary in CONVERTERS.items():
        datasets.add_parser(name, help=summary, formatter_class=HelpFormatter)


def run(args: argparse.Namespace) -> None:
    from mmseg.datasets.converters.run import convert
    convert(_module(args.dataset).CONVERTER, args)


def script(file: str) -> int:
    """Run the command for the data set that a script is named after, with the arguments of the process."""
    from mmseg.cli import main
    return main(['convert-dataset', Path(file).stem, *sys.argv[1:]])
