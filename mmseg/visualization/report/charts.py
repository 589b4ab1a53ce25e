"""Charts as SVG whose colours come from the style of the page, so that they follow its light or dark theme.

Every chart is `WIDTH` units wide, about the pixels of a telephone, and its letters stay readable there.
"""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmseg.visualization.report.markup import Markup, join, tag

WIDTH = 440.
LETTER = 7.2  # mean width of a letter of 12 units
MOST_NAME = 20
TICKS = (0., 0.25, 0.5, 0.75, 1.)


def _chart(height: float, title: str, *content) -> Markup:
    return tag('svg', tag('title', title), *content, viewBox=f'0 0 {WIDTH:.0f} {height:.0f}', role='img',
               class_='chart')


def _text(x: float, y: float, content, class_: str | None = None, anchor: str = 'start', **attributes) -> Markup:
    return tag('text', content, x=x, y=y, class_=class_, text_anchor=anchor, **attributes)


def _line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    return tag('line', x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def _upright(content: str, y: float) -> Markup:
    """The name of a vertical axis."""
    return _text(0., 0., content, 'small', 'middle', transform=f'translate(11 {y:.0f}) rotate(-90)')


def shorten(name: str, most: int = MOST_NAME) -> str:
    """Cut a long name."""
    return name if len(name) <= most else f'{name[:most - 1]}…'


def _name_width(names: Sequence[str]) -> float:
    return 10 + LETTER * max((len(shorten(name)) for name in names), default=0)


def bars(names: Sequence[str], values: np.ndarray, lows: np.ndarray, highs: np.ndarray, marks: np.ndarray,
         title: str) -> Markup:
    """Horizontal bars of fractions, each with its interval as a line and a second value as a mark."""
    left, right, line, top = _name_width(names), WIDTH - 46, 22., 20.
    scale = right - left
    bottom = top + line * len(names)
    parts = [join(_line(left + scale * tick, top - 4, left + scale * tick, bottom, 'grid'),
                  _text(left + scale * tick, top - 8, f'{100 * tick:.0f}', 'small', 'middle'))
             for tick in TICKS]
    for row, (name, value, low, high, mark) in enumerate(zip(names, values, lows, highs, marks)):
        middle = top + line * (row + 0.5)
        parts.append(_text(left - 6, middle + 4, shorten(name), anchor='end'))
        if not np.isfinite(value):
            parts.append(_text(left + 4, middle + 4, 'does not occur', 'small'))
            continue
        parts += [tag('rect', x=left, y=middle - 7, width=float(scale * value), height=14., class_='bar'),
                  *(_line(left + scale * low, middle, left + scale * high, middle, kind)
                    for kind in ('halo', 'whisker')),
                  _text(WIDTH - 2, middle + 4, f'{100 * value:.1f}', 'number', 'end')]
        if np.isfinite(mark):
            x = left + scale * mark
            parts.append(tag('path', d=f'M{x:.1f} {middle - 6:.1f}l5 6l-5 6l-5 -6z', class_='mark'))
    return _chart(bottom + 4, title, parts)


def heat_map(matrix: np.ndarray, names: Sequence[str], title: str) -> Markup:
    """A square of fractions, written in percent where there is room; rows are named at the left, columns above."""
    left = _name_width(names)
    top, right = 0.78 * left, 0.5 * left  # room for names that are written aslant
    side = (WIDTH - left - right) / len(names)
    written = side >= 17
    parts = []
    for i, name in enumerate(names):
        x, y = left + side * (i + 0.5), top + side * (i + 0.5)
        parts += [_text(left - 6, y + 4, shorten(name), 'small' if side < 14 else None, 'end'),
                  _text(0., 4., shorten(name), 'small', transform=f'translate({x:.1f} {top - 6:.1f}) rotate(-50)')]
    for (row, column), value in np.ndenumerate(matrix):
        x, y = left + side * column, top + side * row
        strength = float(np.sqrt(value)) if np.isfinite(value) else 0.
        parts.append(tag('rect', x=x, y=y, width=side - 1, height=side - 1, class_='cell',
                         style=f'--strength:{100 * strength:.0f}%'))
        if written and np.isfinite(value) and value >= 0.005:
            parts.append(_text(x + side / 2 - 0.5, y + side / 2 + 3.5, f'{100 * value:.0f}',
                               'tiny strong' if strength > 0.6 else 'tiny', 'middle'))
    return _chart(top + side * len(names) + 4, title, parts)


def reliability_diagram(sums: np.ndarray, title: str) -> Markup:
    """Accuracy over pixels, by confidence: (3, bins), pixels, summed confidence and right pixels of each bin."""
    pixels, confidence, right = sums
    left, end, top, height, low = 44., WIDTH - 10, 12., 250., 62.
    width, bins = end - left, len(pixels)
    base, foot = top + height, top + height + 24 + low
    parts = []
    for tick in TICKS:
        y, x = base - height * tick, left + width * tick
        parts += [_line(left, y, end, y, 'grid'), _text(left - 6, y + 4, f'{100 * tick:.0f}', 'small', 'end'),
                  _text(x, foot + 16, f'{100 * tick:.0f}', 'small', 'middle')]
    shares = pixels / max(pixels.sum(), 1)
    for number in range(bins):
        x, step = left + width * number / bins, width / bins
        if pixels[number]:
            accuracy, expected = right[number] / pixels[number], confidence[number] / pixels[number]
            parts += [tag('rect', x=x + 1, y=float(base - height * accuracy), width=step - 2,
                          height=float(height * accuracy), class_='bar'),
                      tag('rect', x=x + 1, y=float(base - height * max(accuracy, expected)), width=step - 2,
                          height=float(height * abs(accuracy - expected)), class_='gap')]
        parts.append(tag('rect', x=x + 1, y=float(foot - low * shares[number]), width=step - 2,
                         height=float(low * shares[number]), class_='bar quiet'))
    parts += [_line(left, base, end, top, 'ideal'), *(_line(left, y, end, y, 'axis') for y in (base, foot)),
              _text(left + width / 2, foot + 32, 'confidence, percent', 'small', 'middle'),
              _upright('right, percent', top + height / 2), _upright('pixels', foot - low / 2)]
    return _chart(foot + 38, title, parts)


def histogram(values: np.ndarray, title: str, label: str, bins: int = 20) -> Markup:
    """How many of some fractions lie in each of equal parts of 0 to 1, with a line at their mean."""
    values = values[np.isfinite(values)]
    counts, _ = np.histogram(values, bins, (0, 1))
    left, end, top, height = 44., WIDTH - 10, 12., 130.
    width, base = end - left, top + height
    most = max(int(counts.max(initial=1)), 1)
    parts = [_text(left - 6, base - height + 4, most, 'small', 'end'), _text(left - 6, base + 4, 0, 'small', 'end'),
             _line(left, top, end, top, 'grid')]
    for number, count in enumerate(counts):
        part = float(height * count / most)
        parts.append(tag('rect', x=left + width * number / bins + 1, y=base - part, width=width / bins - 2, height=part,
                         class_='bar'))
    parts += [_text(left + width * tick, base + 16, f'{100 * tick:.0f}', 'small', 'middle') for tick in TICKS]
    if len(values):
        x = left + width * float(values.mean())
        parts.append(_line(x, top, x, base, 'ideal'))
    parts += [_line(left, base, end, base, 'axis'), _text(left + width / 2, base + 32, label, 'small', 'middle'),
              _upright('images', top + height / 2)]
    return _chart(base + 38, title, parts)
