"""What the scripts of `tools/model_converters` share: their command line, SRC DST."""
from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from mmseg.cli import HelpFormatter, common, guard
from mmseg.utils.errors import InputError
from mmseg.utils.weight_layout import Layout


def main(description: str, layout: Layout, argv: Sequence[str] | None = None, *, kinds: Sequence[str] = ()) -> int:
    """Convert the file that the arguments name.

    Args:
        description: what the help says: whose weights, and an example.
        argv: the arguments, by default those of the process.
        kinds: what scripts of 1.x want to be told after SRC and DST; here the weights themselves tell.

    Returns:
        The exit status: 0, or 2 where the file cannot be converted (one sentence on stderr says why).
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=HelpFormatter)
    parser.add_argument('src', metavar='SRC', help='the published weights')
    parser.add_argument('dst', metavar='DST', help='the checkpoint to write')
    if kinds:
        parser.add_argument('kind', metavar='KIND', nargs='?', choices=kinds,
                            help=f'{" or ".join(kinds)}: need not be given, the weights tell')
    args = parser.parse_args(argv)
    return guard(run, args, layout, name=parser.prog)


def run(args: argparse.Namespace, layout: Layout) -> None:
    from mmseg.utils.convert import convert_file, listed
    source = Path(common.existing_file(args.src))
    if source.resolve() == Path(args.dst).resolve():
        raise InputError(f'SRC and DST are both {args.src}: give the checkpoint another name')
    common.writable_folder(Path(args.dst).parent)
    converted = convert_file(source, args.dst, layout)
    print(f'{args.dst}: {len(converted.weights)} weights of {layout.origin} for {converted.target["type"]}')
    if converted.left_out:
        print(f'left out, for it has no place there: {listed(converted.left_out, most=8)}')
