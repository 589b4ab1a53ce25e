"""Sphinx: the Chinese pages."""
project = 'mmseg'
language = 'zh_CN'
extensions = ['myst_parser']
html_theme = 'alabaster'
html_static_path = ['../_static']
myst_heading_anchors = 3
suppress_warnings = ['myst.xref_missing']
