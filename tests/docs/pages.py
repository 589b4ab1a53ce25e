"""Read the pages that a person wrote: their blocks of code, command lines and links."""
from __future__ import annotations

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GENERATED = {'messages.md'}
PAGES = sorted([ROOT / 'README.md', ROOT / 'README_zh-CN.md', ROOT / 'CONTRIBUTING.md',
                *(page for folder in ('en', 'zh_cn') for page in (ROOT / 'docs' / folder).glob('*.md')
                  if page.name not in GENERATED)])
METHODS = sorted((ROOT / 'configs').glob('*/README.md'))


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, language: str) -> list[tuple[int, str]]:
    """Return the blocks of code of a language, each with the number of its first line."""
    text = page.read_text(encoding='utf-8')
    found = re.finditer(rf'^( *)```{language}\n(.*?)^ *```$', text, re.M | re.S)
    return [(text[:block.start(2)].count('\n') + 1, re.sub(rf'^{block[1]}', '', block[2], flags=re.M))
            for block in found]


def command_lines(page: Path) -> list[tuple[int, list[str]]]:
    """Return the commands of a page as words, each with its line: without comments, and one by one where `&&` joins."""
    found = []
    for start, text in blocks(page, 'bash'):
        pending, first = '', 0
        for number, line in enumerate(text.splitlines(), start):
            first = first if pending else number
            pending += line
            if pending.endswith('\\'):
                pending = pending[:-1]
                continue
            words, pending = shlex.split(pending, comments=True), ''
            while words:
                cut = next((i for i, word in enumerate(words) if word in ('&&', '|', ';')), len(words))
                command = words[:cut]
                while command and re.match(r'[A-Z_]+=', command[0]):
                    del command[0]
                if command:
                    found.append((first, [word for word in command if word != '&']))
                words = words[cut + 1:]
    return found


def without_code(text: str) -> str:
    """Return a page without its blocks and spans of code, whose brackets are no links."""
    return re.sub(r'`[^`\n]*`', '``', re.sub(r'^ *```.*?^ *```$', '', text, flags=re.M | re.S))


def links(page: Path) -> list[str]:
    return re.findall(r'\]\(([^)\s]+)\)', without_code(page.read_text(encoding='utf-8')))


def anchors(page: Path) -> set[str]:
    """Return the names that Markdown gives to the headings of a page."""
    headings = re.findall(r'^#+ (.+)$', page.read_text(encoding='utf-8'), re.M)
    return {re.sub(r'[^\w\- ]', '', heading.lower()).strip().replace(' ', '-') for heading in headings}
