"""Plot what trainings logged; print the time and memory of their iterations.

    mmseg analyze-logs work_dirs/first work_dirs/second --keys mIoU
    mmseg analyze-logs work_dirs/first --keys loss decode.loss_ce lr --out curves.pdf

A run is its work folder, of which all parts of a resumed run are read, or a log of JSON lines (`scalars.json`; those of
0.x and 1.x will do). Losses and times of validations are called val/loss, val/time and so on. Without --out the
picture is shown in a window.
"""
from __future__ import annotations

import argparse
import difflib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from mmseg.cli.common import writable_folder
from mmseg.utils.errors import InputError

NOT_CURVES = ('step', 'iter', 'epoch', 'mode')
STYLES = ('dark', 'darkgrid', 'ticks', 'white', 'whitegrid')


class Log:
    """What one run logged: `curves[key]` maps steps to values, in training and in validation.

    Args:
        path: a work folder, or a file of JSON lines.
    """

    def __init__(self, path: str | os.PathLike):
        self.name = Path(path).name if Path(path).is_dir() else _name_of_file(Path(path))
        self.curves: dict[str, dict[int, float]] = {}
        self.validated: set[str] = set()
        for file in _files(Path(path)):
            self._read(file)
        if not self.curves:
            raise InputError(f'{path} holds no logged values: expected lines such as {{"loss": 0.5, "iter": 50}}')

    def _read(self, file: Path) -> None:
        step = 0
        for number, text in enumerate(file.read_text(encoding='utf-8').splitlines(), 1):
            if not text.strip():
                continue
            try:
                line = json.loads(text)
            except json.JSONDecodeError as error:
                raise InputError(f'{file}, line {number} is no JSON ({error}): give scalars.json or a '
                                 '.log.json of 0.x, not the text log') from error
            if not {'step', 'iter', 'mode'} & line.keys():
                continue  # what 0.x says first about the machine
            validation = line.get('mode') == 'val' or ('mode' not in line and 'lr' not in line)
            if 'step' in line:
                step = int(line['step'])
            elif not validation:  # where 0.x validates, `iter` counts images
                step = int(line['iter'])
            for key, value in line.items():
                if key not in NOT_CURVES and isinstance(value, int | float):
                    self._add(key, step, value, validation)

    def _add(self, key: str, step: int, value: float, validation: bool) -> None:
        if validation and (key in ('time', 'data_time', 'memory') or 'loss' in key):
            key = f'val/{key}'  # training has them, too
        self.curves.setdefault(key, {})[step] = float(value)
        if validation:
            self.validated.add(key)

    def curve(self, key: str) -> tuple[list[int], list[float]]:
        """Return steps and values of a key.

        Raises:
            InputError: the run did not log it; the message names the nearest of those that it did.
        """
        if key not in self.curves:
            near = difflib.get_close_matches(key, self.curves, n=3, cutoff=0.5) or sorted(self.curves)
            raise InputError(f'{self.name} has no {key!r}, but {", ".join(near)}')
        points = sorted(self.curves[key].items())
        return [step for step, _ in points], [value for _, value in points]

    def speed(self) -> dict[str, str]:
        """Return time and memory of the training iterations, in words."""
        if 'time' not in self.curves:
            return {}
        import numpy as np
        times = np.array(self.curve('time')[1])
        found = {'s/iteration (median)': f'{np.median(times):.4f}', 'fastest': f'{times.min():.4f}',
                 'slowest': f'{times.max():.4f}', 'of it data': '', 'GPU memory (MB)': ''}
        if 'data_time' in self.curves:
            found['of it data'] = f'{100 * sum(self.curves["data_time"].values()) / times.sum():.1f} %'
        if 'memory' in self.curves:
            found['GPU memory (MB)'] = f'{max(self.curves["memory"].values()):.0f}'
        return found


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    found = sorted(path.glob('*/vis_data/scalars.json')) or sorted(path.glob('*.log.json'))
    if not found:
        raise InputError(f'no log in {path}: give a work folder, which holds TIME/vis_data/scalars.json, or a file')
    return found


def _name_of_file(path: Path) -> str:
    return path.parents[2].name if path.name == 'scalars.json' and len(path.parents) > 2 else path.stem


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('logs', nargs='+', metavar='RUN', help='work folders or logs of JSON lines')
    parser.add_argument('--keys', nargs='+', metavar='KEY', help='what to plot (mIoU, or loss where there is none)')
    parser.add_argument('--title', help='title of the picture')
    parser.add_argument('--legend', nargs='+', metavar='NAME', help='name of each curve: of each key, run by run')
    parser.add_argument('--backend', metavar='NAME', help='backend of matplotlib')
    parser.add_argument('--style', default='whitegrid', metavar='NAME',
                        help=f'style: {", ".join(STYLES)}, or any of matplotlib')
    parser.add_argument('--out', metavar='FILE', help='write the picture here (.png, .pdf, .svg)')


def run(args: argparse.Namespace) -> None:
    logs = [Log(path) for path in args.logs]
    print(table_of_speed(logs))
    keys = args.keys or ['mIoU' if any('mIoU' in log.curves for log in logs) else 'loss']
    figure = plot(logs, keys, args.legend, args.title, args.style, args.backend)
    if args.out:
        writable_folder(Path(args.out).parent)
        figure.savefig(args.out, bbox_inches='tight')
        print(f'curves of {", ".join(keys)}: {args.out}')
    else:
        _show(figure)


def table_of_speed(logs: Iterable[Log]) -> str:
    """Return a table of the iterations of each run."""
    from prettytable import PrettyTable
    table = PrettyTable()
    for log in logs:
        row = {'run': log.name, 'last step': max(max(curve) for curve in log.curves.values()), **log.speed()}
        if not table.field_names or len(row) > len(table.field_names):
            table.field_names = list(row)
        table.add_row([row.get(name, '') for name in table.field_names])
    return table.get_string()


def plot(logs: Sequence[Log], keys: Sequence[str], legend: Sequence[str] | None = None, title: str | None = None,
         style: str = 'whitegrid', backend: str | None = None):
    """Draw every key of every run and return the figure.

    Raises:
        InputError: a key that no run has, a legend of another length, or an unknown style.
    """
    import matplotlib
    if backend:
        matplotlib.use(backend)
    elif not (os.environ.get('DISPLAY') or os.environ.get('WAYLAND_DISPLAY')):
        matplotlib.use('agg')
    from matplotlib import pyplot
    curves = [(log, key) for log in logs for key in keys if key in log.curves or len(logs) == 1]
    for key in keys:
        if not any(key in log.curves for log in logs):
            logs[0].curve(key)  # which says what there is
    names = legend or [f'{log.name} {key}' if len(logs) > 1 else key for log, key in curves]
    if len(names) != len(curves):
        raise InputError(f'--legend names {len(names)} curves, but there are {len(curves)}: '
                         f'{", ".join(f"{log.name} {key}" for log, key in curves)}')
    style = f'seaborn-v0_8-{style}' if style in STYLES else style
    if style not in ('default', *pyplot.style.available):
        raise InputError(f'no style {style!r}: there are {", ".join((*STYLES, *pyplot.style.available))}')
    with pyplot.style.context(style):
        figure, axes = pyplot.subplots(figsize=(8, 5))
        for name, (log, key) in zip(names, curves):
            steps, values = log.curve(key)
            axes.plot(steps, values, label=name, marker='o' if key in log.validated else None, markersize=3)
        axes.set_xlabel('step')
        axes.set_ylabel(', '.join(keys))
        axes.set_title(title or '')
        axes.legend()
    return figure


def _show(figure) -> None:
    import matplotlib
    if matplotlib.get_backend().lower() == 'agg':
        raise InputError('there is no screen to show the curves on: write them to a file with --out curves.png')
    figure.show()
    from matplotlib import pyplot
    pyplot.show()
