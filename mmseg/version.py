"""The version, as a string and as numbers that compare."""
from __future__ import annotations

import re

__version__ = '2.0.0.dev0'


def parse_version_info(version_str: str) -> tuple[int | str, ...]:
    """Split a version into numbers and a final tag: `'1.2.0rc3'` -> `(1, 2, 0, 'rc3')`."""
    parts = re.match(r'\d+(?:\.\d+)*', version_str)
    if parts is None:
        raise ValueError(f'{version_str!r} is not a version: expected numbers joined by dots, such as 2.0.0')
    tag = version_str[parts.end():].lstrip('.')
    return (*map(int, parts.group().split('.')), *([tag] if tag else []))


version_info = parse_version_info(__version__)
