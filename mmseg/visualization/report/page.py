"""The page of a report: what was found, in the order in which a reader asks."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from mmseg.visualization.report import charts
from mmseg.visualization.report.markup import Markup, data_address, join, tag, void
from mmseg.visualization.report.style import STYLE

# More classes than this make a square of which nothing can be read: the most confused of them are shown.
MOST_IN_MATRIX = 30
CONFUSIONS = 10


@dataclass(frozen=True)
class Figure:
    """A figure with the ends of its interval; all are fractions."""

    name: str
    value: float
    low: float
    high: float
    meaning: str = ''


@dataclass(frozen=True)
class Example:
    """An image that was predicted well or badly.

    Args:
        name: of its file.
        score: mean IoU of its classes.
        panels: title and JPEG file of each picture of it.
    """

    name: str
    score: float
    panels: dict[str, bytes]


@dataclass(frozen=True)
class ClassFigures:
    """Figures of each class, (C,) fractions, NaN where a class does not occur."""

    iou: np.ndarray
    low: np.ndarray
    high: np.ndarray
    boundary: np.ndarray
    recall: np.ndarray
    precision: np.ndarray


@dataclass(frozen=True)
class Report:
    """All that a page tells.

    Args:
        title, subtitle: of the page.
        classes, palette: names and colours.
        figures: of the whole data set; the first is mean IoU.
        per_class: figures of the classes.
        matrix: pixels by true class (row) and predicted class (column).
        scores: mean IoU of each image.
        reliability: (3, bins), or None where the network gives no probabilities.
        best, worst: images.
        speed, setting: names and values of what was measured, and of what was run.
        config: the whole config as text.
        notes: sentences on what readers must know.
    """

    title: str
    subtitle: str
    classes: Sequence[str]
    palette: Sequence[Sequence[int]]
    figures: list[Figure]
    per_class: ClassFigures
    matrix: np.ndarray
    scores: np.ndarray
    reliability: np.ndarray | None
    best: list[Example]
    worst: list[Example]
    speed: dict[str, str]
    setting: dict[str, str]
    config: str
    notes: list[str] = field(default_factory=list)


def percent(value: float, digits: int = 1) -> str:
    """Write a fraction in percent, and a dash where there is none."""
    return f'{100 * value:.{digits}f}' if np.isfinite(value) else '–'


def make_page(report: Report) -> str:
    """Write a report as HTML that needs no other file."""
    sections = [('classes', 'Classes', _classes(report)), ('confusion', 'Confusion', _confusion(report)),
                ('calibration', 'Calibration', _calibration(report)), ('images', 'Images', _images(report)),
                ('speed', 'Speed and memory', _speed(report)), ('config', 'Config', _config(report))]
    contents = tag('nav', tag('ol', [tag('li', tag('a', title, href=f'#{key}')) for key, title, _ in sections]),
                   aria_label='Sections')
    body = join(
        tag('a', 'Skip to the figures', href='#figures', class_='skip'),
        tag('header', tag('h1', report.title), tag('p', report.subtitle, class_='lead'), contents),
        tag('main', _figures(report), [
            tag('section', tag('h2', f'{number}. {title}', id=f'{key}-title'), content, id=key,
                aria_labelledby=f'{key}-title') for number, (key, title, content) in enumerate(sections, start=1)]))
    head = join(void('meta', charset='utf-8'),
                void('meta', name='viewport', content='width=device-width, initial-scale=1'),
                tag('title', f'{report.title}: report'), tag('style', Markup(STYLE)))
    return f'<!DOCTYPE html>\n{tag("html", tag("head", head), tag("body", body), lang="en")}\n'


def _figures(report: Report) -> Markup:
    cells = [tag('div', tag('dt', figure.name, title=figure.meaning or None), tag('dd', percent(figure.value), tag(
        'small', f'{percent(figure.low)} to {percent(figure.high)}'))) for figure in report.figures]
    cells += [tag('div', tag('dt', name), tag('dd', value.partition(' ')[0], tag('small', value.partition(' ')[2])))
              for name, value in list(report.speed.items())[:1]]
    return join(tag('dl', cells, class_='figures', id='figures', tabindex='-1'), tag('p', _summary(report)),
                [tag('p', note) for note in report.notes])


def _summary(report: Report) -> str:
    values = report.per_class.iou
    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        return 'No labelled pixel was found.'
    best, worst = (report.classes[known[pick(values[known])]] for pick in (np.argmax, np.argmin))
    sentences = [f'The best class is {best} with an IoU of {percent(values[known].max())}, the worst is {worst} with '
                 f'{percent(values[known].min())}.']
    if confusions := _confusions(report):
        truth, taken, pixels = confusions[0]
        sentences.append(f'The most frequent error takes {report.classes[truth]} for {report.classes[taken]}: '
                         f'{percent(pixels / max(report.matrix[truth].sum(), 1))} % of all {report.classes[truth]}.')
    return ' '.join(sentences)


def _figure(number: int, chart: Markup, caption: str, scroll: str | None = None) -> Markup:
    body = chart if scroll is None else _scroll(chart, scroll)
    return tag('figure', body, tag('figcaption', tag('b', f'Figure {number}.'), f' {caption}'))


def _scroll(content: Markup, name: str) -> Markup:
    """A part that is wider than a telephone: it scrolls by itself, also by the keys."""
    return tag('div', content, class_='scroll', tabindex='0', role='region', aria_label=name)


def _table(head: Sequence, rows: Sequence[Sequence], caption: str, class_: str | None = None) -> Markup:
    body = [tag('tr', tag('th', first, scope='row'), [tag('td', cell) for cell in rest]) for first, *rest in rows]
    columns = tag('tr', [tag('th', name, scope='col') for name in head])
    parts = tag('caption', caption), tag('thead', columns), tag('tbody', body)
    return _scroll(tag('table', *parts, class_=class_), caption)


def _named(report: Report, label: int) -> Markup:
    color = 'rgb({},{},{})'.format(*report.palette[label])
    return join(tag('span', class_='swatch', style=f'background:{color}'), report.classes[label])


def _classes(report: Report) -> Markup:
    each = report.per_class
    order = np.argsort(-np.nan_to_num(each.iou, nan=-1.), kind='stable')
    chart = charts.bars([report.classes[i] for i in order], *(values[order] for values in (
        each.iou, each.low, each.high, each.boundary)), title='IoU of each class in percent, the best first')
    labelled = report.matrix.sum(1)
    share = labelled / max(labelled.sum(), 1)
    rows = [[_named(report, i), percent(share[i], 2), join(percent(each.iou[i]), ' ', tag(
        'small', f'{percent(each.low[i])} to {percent(each.high[i])}')), *(percent(values[i]) for values in (
            each.boundary, each.recall, each.precision))] for i in order]
    return join(
        _figure(1, chart, 'IoU of each class in percent (bars) with its 95 % interval over images (thin lines), and '
                          'boundary IoU (diamonds), which counts only the pixels near outlines.'),
        tag('details', tag('summary', 'The figures as a table'), _table(
            ('Class', 'Pixels', 'IoU', 'Boundary IoU', 'Recall', 'Precision'), rows, 'All in percent')))


def _confusions(report: Report) -> list[tuple[int, int, int]]:
    """The most frequent errors: true class, class it is taken for, pixels."""
    wrong = report.matrix.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind='stable')[:CONFUSIONS]
    pairs = [np.unravel_index(place, wrong.shape) for place in order]
    return [(int(row), int(column), int(wrong[row, column])) for row, column in pairs if wrong[row, column]]


def _confusion(report: Report) -> Markup:
    wrong = report.matrix.sum(1) + report.matrix.sum(0) - 2 * report.matrix.diagonal()
    shown = np.sort(np.argsort(-wrong, kind='stable')[:MOST_IN_MATRIX])
    with np.errstate(invalid='ignore', divide='ignore'):
        shares = report.matrix / report.matrix.sum(1, keepdims=True)
    chart = charts.heat_map(shares[np.ix_(shown, shown)], [report.classes[i] for i in shown],
                            'Share of each true class that is taken for each class')
    omitted = '' if len(shown) == len(report.classes) else (
        f' Of {len(report.classes)} classes, the {len(shown)} that are confused most.')
    errors = max(report.matrix.sum() - report.matrix.trace(), 1)
    rows = [[_named(report, truth), _named(report, taken), percent(shares[truth, taken]), percent(pixels / errors)]
            for truth, taken, pixels in _confusions(report)]
    return join(
        _figure(2, chart, 'What becomes of the pixels of each true class (row), in percent of it; the columns are the '
                          f'predicted classes. Shades follow the square root, so that rare errors show.{omitted}',
                'Confusion matrix'),
        _table(('Truth', 'Taken for', 'Of the class', 'Of all errors'), rows, 'The most frequent errors, in percent',
               'pairs'))


def _calibration(report: Report) -> Markup:
    if report.reliability is None:
        return tag('p', 'This network gives no probabilities of classes, so there is nothing to calibrate.')
    pixels, confidence, right = report.reliability.sum(1)
    relation = 'too sure of itself' if confidence > right else 'less sure than it could be'
    chart = charts.reliability_diagram(report.reliability, 'Right pixels by confidence, and pixels by confidence')
    edges = np.linspace(0, 1, report.reliability.shape[1] + 1)
    rows = [[f'{percent(low, 0)} to {percent(high, 0)}', percent(count / max(pixels, 1), 2), percent(good / count)]
            for low, high, (count, _, good) in zip(edges, edges[1:], report.reliability.T) if count]
    return join(
        tag('p', f'On average the network gives its choice a probability of {percent(confidence / pixels)} % and is '
                 f'right in {percent(right / pixels)} % of the pixels: it is {relation}.'),
        _figure(3, chart, 'Above: share of right pixels among those of like confidence, the softmax probability of '
                          'the chosen class; a calibrated network follows the dashed line, and the orange parts are '
                          'what it misses. Below: how many pixels have that confidence. ECE, the expected calibration '
                          'error, is the mean distance of confidence and share, weighted by pixels.'),
        tag('details', tag('summary', 'The figures as a table'),
            _table(('Confidence', 'Pixels', 'Right'), rows, 'All in percent')))


def _images(report: Report) -> Markup:
    used = {int(i) for i in np.flatnonzero(report.matrix.sum(0) + report.matrix.sum(1))}
    legend = tag('ul', [tag('li', _named(report, i)) for i in sorted(used)], class_='legend',
                 aria_label='Colours of the classes')
    chart = charts.histogram(report.scores, 'Images by mean IoU', 'mean IoU of the classes in an image, percent')
    parts = [_figure(4, chart, 'Images by the mean IoU of their classes; the dashed line is the mean of the images, '
                               'which is not the mIoU of the data set.'), legend]
    for title, examples in (('The worst images', report.worst), ('The best images', report.best)):
        if examples:
            parts += [tag('h3', title), [_example(example) for example in examples]]
    return join(parts)


def _example(example: Example) -> Markup:
    panels = [tag('div', void('img', src=data_address(content), alt=f'{example.name}: {title}', loading='lazy',
                              decoding='async'), title) for title, content in example.panels.items()]
    return tag('figure', tag('figcaption', tag('b', example.name), f' — mean IoU {percent(example.score)}'),
               tag('div', panels, class_='panels'), class_='example')


def _speed(report: Report) -> Markup:
    rows = [*report.speed.items(), *report.setting.items()]
    return _table(('What', 'Value'), rows, 'Measured while evaluating', 'words')


def _config(report: Report) -> Markup:
    text = tag('pre', tag('code', report.config), tabindex='0', role='region', aria_label='The config')
    return tag('details', tag('summary', 'The whole config, with everything that it inherits'), text)
