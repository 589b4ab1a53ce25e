"""Sphinx: the English pages."""
project = 'mmseg'
extensions = ['myst_parser']
html_theme = 'alabaster'
html_static_path = ['../_static']
myst_heading_anchors = 3
suppress_warnings = ['myst.xref_missing']
