"""The command line that every script of `tools/model_converters` has: SOURCE DESTINATION."""
from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from mmseg.cli import HelpFormatter, common, guard


def main(description: str, layout: str, argv: Sequence[str] | None = None) -> int:
    """Convert the file that the arguments name and return the exit status: 0, or 2 where it cannot be converted.

    Args:
        description: what the help says: whose weights, and an example.
        layout: `MODULE:NAME` of the :class:`mmseg.utils.convert.Layout`, imported after the arguments are read.
        argv: the arguments, by default those of the process.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=HelpFormatter)
    parser.add_argument('src', metavar='SRC', help='the published weights')
    parser.add_argument('dst', metavar='DST', help='the checkpoint to write')
    args = parser.parse_args(argv)
    return guard(run, args, layout, name=parser.prog)
