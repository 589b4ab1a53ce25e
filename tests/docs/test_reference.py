"""The pages that follow from the code: docstrings as Markdown, and every message of an error."""
import importlib
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = runpy.run_path(str(ROOT / 'docs' / 'reference.py'))


@pytest.mark.parametrize('package', REFERENCE['PACKAGES'])
def test_every_published_class_has_an_entry(package):
    page = REFERENCE['api_page'](package, 'title')
    module = importlib.import_module(f'mmseg.{package}')
    missing = [name for name in module.__all__ if isinstance(value := getattr(module, name), type)
               and value.__module__.startswith(f'mmseg.{package}.') and f'\n## {name}\n' not in page
               and not (package == 'datasets' and value.__module__.startswith('mmseg.datasets.transforms'))]
    assert missing == []


def test_a_docstring_becomes_markdown():
    text = REFERENCE['as_markdown']('''Do it.

    See :class:`~mmseg.Thing`.

    Args:
        size: height and width,
            in pixels.
        a, b: two.

    >>> do(1)
    2
    ''')
    assert text.splitlines() == [
        'Do it.', '', 'See `mmseg.Thing`.', '', '', '**Args**', '', '* `size`: height and width,', '  in pixels.',
        '* `a, b`: two.', '', '```python', '>>> do(1)', '2', '```']


def test_a_signature_has_types_and_defaults():
    entry = REFERENCE['entry']('models.losses', 'kldiv_loss', 'KLDivLoss')
    assert "KLDivLoss(temperature: float=1.0, reduction: str='mean', loss_name: str='loss_kld')" in entry
    assert '* `temperature`: both logits are divided by it; the loss is multiplied by its square.' in entry
    assert '### KLDivLoss.forward' in entry


def test_messages_have_marks_where_values_are_filled_in(tmp_path):
    (tmp_path / 'module.py').write_text('''
def check(value):
    if value:
        raise ValueError(f'found {value!r}, '
                         'expected nothing')
    warnings.warn('nothing was found')
    return f'a sentence with a {value} inside'
''')
    assert REFERENCE['messages'](tmp_path / 'module.py') == [
        ('ValueError', 'found …, expected nothing'), ('warning', 'nothing was found'),
        ('part of a message', 'a sentence with a … inside')]


def test_every_error_of_the_code_is_listed():
    page = REFERENCE['messages_page']('title', 'text')
    for part in ('slide mode needs 1 <= stride <= crop_size', 'did not come within … seconds',
                 'is refused: it asks for', 'All else fits: it was trained for … classes'):
        assert part in page
