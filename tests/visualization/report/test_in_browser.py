"""The page as a browser lays it out; skipped where there is none. `MMSEG_BROWSER` names one that is not on the path."""
import os
import re
import shutil
import subprocess

import pytest

from mmseg.visualization.report.page import make_page
from tests.visualization.report.test_page import report

NAMES = ('chromium-headless-shell', 'chromium', 'chromium-browser', 'google-chrome', 'chrome')
BROWSER = os.environ.get('MMSEG_BROWSER') or next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason='there is no Chromium here')

# Put into a copy of the page: what a reader would see goes into its title.
PROBE = '''<script>addEventListener('load', () => {
  const body = getComputedStyle(document.body), root = document.documentElement;
  const cut = [...document.querySelectorAll('svg text')].filter(text => {
    const letters = text.getBoundingClientRect(), chart = text.ownerSVGElement.getBoundingClientRect();
    return letters.width && (letters.left < chart.left - 1 || letters.right > chart.right + 1 ||
                             letters.top < chart.top - 1 || letters.bottom > chart.bottom + 1);
  }).length;
  const broken = [...document.images].filter(image => image.complete && !image.naturalWidth).length;
  const letters = Math.min(...[...document.querySelectorAll('svg text')].map(text =>
    parseFloat(getComputedStyle(text).fontSize) * text.ownerSVGElement.getScreenCTM().a));
  const wide = root.scrollWidth - root.clientWidth;
  document.title = ['probe', wide, cut, broken, letters.toFixed(1), body.backgroundColor].join('|');
})</script>'''


def look(page, width, *options):
    done = subprocess.run([BROWSER, '--headless', '--no-sandbox', '--disable-gpu', f'--window-size={width},900',
                           '--virtual-time-budget=2000', '--dump-dom', *options, page.as_uri()],
                          capture_output=True, text=True, timeout=120)
    _, too_wide, cut, broken, letters, color = re.search(r'<title>(probe\|.*?)</title>', done.stdout)[1].split('|')
    return int(too_wide), int(cut), int(broken), float(letters), color


@pytest.mark.parametrize(('width', 'smallest'), [(360, 7.), (1200, 11.)])
def test_nothing_is_cut_off_and_letters_stay_readable(tmp_path, width, smallest):
    page = tmp_path / 'report.html'
    long_names = [f'a class with the long name {number}' for number in range(9)]
    page.write_text(make_page(report(9, classes=long_names)).replace('</head>', f'{PROBE}</head>'), encoding='utf-8')
    too_wide, cut, broken, letters, _ = look(page, width)
    assert too_wide <= 0 and cut == 0 and broken == 0
    assert letters >= smallest


def test_the_page_follows_the_theme_of_the_reader(tmp_path):
    page = tmp_path / 'report.html'
    page.write_text(make_page(report()).replace('</head>', f'{PROBE}</head>'), encoding='utf-8')
    assert look(page, 800, '--blink-settings=preferredColorScheme=1')[-1] == 'rgb(253, 252, 250)'
    assert look(page, 800, '--blink-settings=preferredColorScheme=0')[-1] == 'rgb(21, 23, 27)'
