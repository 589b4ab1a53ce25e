import dataclasses
import re
from base64 import b64decode
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from mmseg.visualization.report.charts import bars, heat_map, histogram, shorten
from mmseg.visualization.report.markup import join, tag, void
from mmseg.visualization.report.page import ClassFigures, Example, Figure, Report, make_page, percent
from mmseg.visualization.report.style import STYLE

VOID = {'meta', 'img', 'br', 'link', 'input', 'hr'}


class Page(HTMLParser):
    """Reads a page and checks on the way that every element ends where it should."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.elements, self.text = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, name, attributes):
        self.elements.append((name, dict(attributes)))
        if name not in VOID:
            self.open.append(name)

    def handle_endtag(self, name):
        assert self.open.pop() == name

    def handle_data(self, data):
        if not self.open or self.open[-1] != 'style':
            self.text.append(data)

    def all(self, name):
        return [attributes for tag_name, attributes in self.elements if tag_name == name]

    @property
    def words(self):
        return re.sub(r'\s+', ' ', ' '.join(self.text))


def report(count=4, **changes):
    rng = np.random.default_rng(0)
    matrix = rng.integers(0, 50, (count, count)) + np.diag(np.full(count, 400))
    matrix[count - 1] = matrix[:, count - 1] = 0  # the last does not occur
    values = np.append(np.linspace(0.9, 0.3, count - 1), np.nan)
    each = ClassFigures(values, values - 0.05, values + 0.05, values - 0.1, values, values)
    picture = cv2.imencode('.jpg', np.full((30, 40, 3), 90, np.uint8))[1].tobytes()
    examples = [Example(f'{name} <1>.png', 0.4, dict(image=picture, truth=picture)) for name in 'ab']
    reliability = np.stack([np.arange(15), np.arange(15) * 0.8, np.arange(15) * 0.7])
    return dataclasses.replace(Report(
        'net & co', 'two images', [f'class {i}' for i in range(count)], [[4 * i, 0, 0] for i in range(count)],
        [Figure('mIoU', 0.612, 0.581, 0.645)], each, matrix, np.array([0.4, 0.6, np.nan]), reliability, examples[:1],
        examples[1:], dict(Time='52 ms an image'), dict(Device='CPU'), 'model = dict(a=1 < 2)'), **changes)


def test_the_page_is_whole_and_needs_nothing_else():
    text = make_page(report())
    page = Page(text)
    assert text.startswith('<!DOCTYPE html>') and page.all('html') == [{'lang': 'en'}]
    assert not page.all('script') and not page.all('link')
    addresses = [element.get(key, '') for _, element in page.elements for key in ('src', 'href')]
    assert all(address == '' or address[0] == '#' or address.startswith('data:image/') for address in addresses)
    assert 'http' not in STYLE and 'url(' not in STYLE and '@import' not in STYLE
    names = {element['id'] for _, element in page.elements if 'id' in element}
    assert {address[1:] for address in addresses if address.startswith('#')} <= names
    assert {element['aria-labelledby'] for _, element in page.elements if 'aria-labelledby' in element} <= names


def test_what_was_found_stands_on_it():
    page = Page(make_page(report()))
    words = page.words
    for found in ('net & co', '61.2', '58.1 to 64.5', 'The best class is class 0 with an IoU of 90.0',
                  'the worst is class 2', '52', 'ms an image', 'a <1>.png', 'model = dict(a=1 < 2)', 'does not occur',
                  'too sure of itself'):
        assert found in words, found
    assert [element['alt'] for element in page.all('img')] == [f'{name} <1>.png: {panel}' for name in 'ba'
                                                               for panel in ('image', 'truth')]
    content = b64decode(page.all('img')[0]['src'].partition(',')[2])
    assert cv2.imdecode(np.frombuffer(content, np.uint8), 1).shape == (30, 40, 3)


def test_it_can_be_read_by_keys_ears_and_on_a_telephone():
    page = Page(make_page(report()))
    assert all(chart['role'] == 'img' for chart in page.all('svg'))
    assert len(page.all('title')) == 1 + len(page.all('svg'))  # each chart has a name
    regions = [element for name, element in page.elements if element.get('class') == 'scroll']
    assert regions and all(region['tabindex'] == '0' and region['aria-label'] for region in regions)
    assert all(head['scope'] in ('col', 'row') for head in page.all('th'))
    assert page.all('main') and page.all('nav') and page.all('a')[0]['class'] == 'skip'
    assert any('width=device-width' in meta.get('content', '') for meta in page.all('meta'))
    for query in ('prefers-color-scheme: dark', 'prefers-reduced-motion', ':focus-visible', 'max-width: 40rem'):
        assert query in STYLE
    headings = [name for name, _ in page.elements if name in ('h1', 'h2', 'h3')]
    assert headings[0] == 'h1' and headings.count('h1') == 1


def luminance(color):
    channels = np.array([int(color[i:i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055)**2.4)
    return linear @ (0.2126, 0.7152, 0.0722)


@pytest.mark.parametrize('theme', [0, 1])
@pytest.mark.parametrize(('front', 'back'), [
    ('ink', 'paper'), ('quiet', 'paper'), ('accent', 'paper'), ('on-accent', 'accent'), ('ink', 'panel')])
def test_letters_stand_out_in_both_themes(theme, front, back):
    colors = dict(re.findall(r'--([\w-]+): (#\w{6})', STYLE.split('@media')[theme]))
    light, dark = sorted((luminance(colors[name]) for name in (front, back)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_many_classes_and_no_probabilities_are_no_hindrance():
    page = Page(make_page(report(60, reliability=None, best=[], worst=[])))
    assert 'Of 60 classes, the 30 that are confused most.' in page.words
    assert 'gives no probabilities' in page.words
    cells = [element for element in page.all('rect') if element.get('class') == 'cell']
    assert len(cells) == 30 * 30


def test_bars_are_as_long_as_their_values():
    values = np.array([1., 0.5, np.nan])
    page = Page(bars(['x', 'y', 'z'], values, values - 0.1, values, values - 0.2, 'title'))
    widths = [float(bar['width']) for bar in page.all('rect')]
    assert len(widths) == 2 and widths[0] == pytest.approx(2 * widths[1], rel=1e-3)
    assert float(page.all('rect')[0]['x']) + widths[0] <= 440


def test_a_square_shows_percent_and_strength():
    page = Page(heat_map(np.array([[0.25, 0.75], [0., 1.]]), ['x', 'y'], 'title'))
    assert [element['style'] for element in page.all('rect')] == [
        '--strength:50%', '--strength:87%', '--strength:0%', '--strength:100%']
    assert [word for word in page.text if word.isdigit()] == ['25', '75', '100']


def test_a_histogram_counts_all_images():
    page = Page(histogram(np.array([0., 0.02, 1., np.nan]), 'title', 'label', bins=2))
    heights = [float(bar['height']) for bar in page.all('rect')]
    assert heights[0] == 2 * heights[1] > 0


def test_markup_is_escaped_once():
    assert tag('p', 'a < b', tag('b', '&')) == '<p>a &lt; b<b>&amp;</b></p>'
    assert void('img', alt='"', data_x=1.50) == '<img alt="&quot;" data-x="1.5">'
    assert join(['a', None, ['b']], 2) == 'ab2'
    assert shorten('a' * 30) == 'a' * 19 + '…'
    assert percent(0.1234, 2) == '12.34' and percent(float('nan')) == '–'
