"""The command `mmseg`: `mmseg COMMAND …`, one module here for each command; `tools/` calls the same code.

A command's module is imported when that command is given, and heavy packages when it runs, so help comes at once.
"""
from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from mmseg.version import __version__

COMMANDS = {
    'train': 'train a model',
    'test': 'evaluate a model; save labels and pictures',
    'predict': 'label images and videos of your own',
    'predict-raster': 'label a raster that is larger than memory',
    'serve': 'answer images over HTTP, with a page to drop them on',
    'analyze-logs': 'plot what trainings logged',
    'report': 'write a page about a model: figures, errors, calibration, speed',
    'print-config': 'print a config with everything that it inherits',
    'convert-dataset': 'convert a published data set to what the configs read',
    'doctor': 'look for what is wrong with a data set',
    'browse': 'draw what the network will see of a data set',
    'benchmark': 'measure speed and memory of one or several models',
    'benchmark-loader': 'measure how fast a config loads its training images',
    'export': 'write a model as ONNX, OpenVINO, TorchScript or torch.export',
    'onnx2tensorrt': 'build a TensorRT engine from an ONNX file',
    'deploy-test': 'evaluate an exported model',
    'get-flops': 'count multiplications and parameters',
    'confusion-matrix': 'show which class is taken for which',
    'visualization-cam': 'show which pixels speak for a class',
    'feature-maps': 'show what the layers of a model make of a picture',
    'model-ensemble': 'predict with several models at once',
    'models': 'list the published configs, their figures and weights',
    'publish-model': 'make a checkpoint ready to be published',
    'migrate-config': 'write a config of 0.x as one of 1.x',
}
SYNOPSIS = """\
CONFIG is a path, or the name of a published config:
    mmseg train fcn_r50-d8_4xb2-40k_cityscapes-512x1024
    mmseg test CONFIG work_dirs/CONFIG/iter_40000.pth --show-dir pictures
    mmseg predict CONFIG CHECKPOINT street.jpg --out-dir labelled
`mmseg COMMAND --help` says more about each."""


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the examples as they are written."""

    def __init__(self, prog: str):
        super().__init__(prog, max_help_position=30, width=100)


def _parser(command: str | None) -> argparse.ArgumentParser:
    """Build the parser; only the arguments of `command` are filled in."""
    parser = argparse.ArgumentParser(prog='mmseg', description='Semantic segmentation from a config.',
                                     epilog=SYNOPSIS, formatter_class=HelpFormatter)
    parser.add_argument('--version', action='version', version=f'mmseg {__version__}')
    commands = parser.add_subparsers(dest='command', metavar='COMMAND [ARGUMENTS]', required=True)
    for name, summary in COMMANDS.items():
        if name != command:
            commands.add_parser(name, help=summary)
            continue
        module = import_module(f'mmseg.cli.{name.replace("-", "_")}')
        sub = commands.add_parser(name, help=summary, description=module.__doc__,
                                  formatter_class=HelpFormatter)
        sub.add_argument('--debug', action='store_true', help='show the whole traceback of every error')
        module.add_arguments(sub)
        sub.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run `mmseg` with these arguments, or those of the process.

    Returns:
        The exit status: 0, or 2 where what was asked cannot be done (one sentence on stderr says why). A fault of the
        program itself keeps its traceback; `--debug` or the environment variable MMSEG_DEBUG=1 shows every traceback.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    if argv:
        argv[0] = argv[0].replace('_', '-')
    args = _parser(argv[0] if argv else None).parse_args(argv)
    return guard(args.run, args, debug=args.debug, name=f'mmseg {args.command}')


def guard(run, *args, debug: bool = False, name: str = 'mmseg') -> int:
    """Call `run(*args)` and return an exit status; mistakes of the user become one sentence on stderr."""
    try:
        return run(*args) or 0
    except KeyboardInterrupt:
        print(f'{name}: interrupted', file=sys.stderr)
        return 130
    except Exception as error:
        from mmseg.cli.errors import explain_mistake
        sentence = explain_mistake(error)
        if sentence is None or debug or os.environ.get('MMSEG_DEBUG', '0') not in ('', '0'):
            raise
        print(f'{name}: {sentence}', file=sys.stderr)
        return 2
