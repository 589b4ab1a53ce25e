"""Sphinx: the Chinese pages."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from reference import setup  # noqa: E402, F401

project = 'mmseg'
language = 'zh_CN'
extensions = ['myst_parser']
html_theme = 'alabaster'
html_theme_options = dict(page_width='1100px', sidebar_width='240px')
html_static_path = ['../_static']
myst_heading_anchors = 3
pygments_style = 'friendly'
# Blocks of commands have places for the reader's own names, and trees of folders have dots: neither is a language.
suppress_warnings = ['misc.highlighting_failure', 'toc.empty_glob']
