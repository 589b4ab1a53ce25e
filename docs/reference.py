"""Write the pages that follow from the code: the API reference, the list of all messages of errors, the methods.

The code is parsed, not imported. `conf.py` calls :func:`setup` before the pages are read; git ignores what it writes.
"""
from __future__ import annotations

import ast
import inspect
import re
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {
    'apis': 'notebooks and scripts', 'structures': 'samples', 'datasets': 'data sets',
    'datasets.transforms': 'transforms', 'models': 'building', 'models.segmentors': 'segmentors',
    'models.backbones': 'backbones', 'models.necks': 'necks', 'models.decode_heads': 'decode heads',
    'models.losses': 'losses', 'models.text_encoder': 'text encoders', 'models.assigners': 'assigners',
    'models.utils': 'blocks', 'engine': 'engine', 'evaluation': 'metrics', 'visualization': 'pictures',
    'utils': 'small things',
}
WORDS = {
    'en': dict(api='API reference', messages='Every message',
               api_text='What each package publishes, from its docstrings.',
               messages_text='Every error that the code raises, by module. … stands for what is filled in. '
                             '[Troubleshooting](troubleshooting) says more about the usual ones.'),
    'zh_cn': dict(api='API 参考', messages='全部错误信息',
                  api_text='各个包公开的名称，取自文档字符串（英文）。',
               messages_text='代码会抛出的全部错误，按模块排列，… 代表填入的内容。'
                             '常见错误见[故障排除](troubleshooting)。'),
}
SECTIONS = ('Args', 'Returns', 'Raises', 'Yields', 'Attributes', 'Example', 'Examples', 'Note')


def published(package: str) -> dict[str, list[str]]:
    """Return the table *module -> names* of a package, as its `__init__.py` states it."""
    tree = ast.parse((ROOT / 'mmseg' / Path(*package.split('.')) / '__init__.py').read_text(encoding='utf-8'))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'lazy_exports':
            return ast.literal_eval(node.args[1])
    return {}


def definitions(module: Path) -> dict[str, ast.ClassDef | ast.FunctionDef]:
    """Return the classes and functions of a module by name."""
    tree = ast.parse(module.read_text(encoding='utf-8'))
    return {node.name: node for node in tree.body if isinstance(node, (ast.ClassDef, ast.FunctionDef))}


def signature(node: ast.ClassDef | ast.FunctionDef, name: str) -> str:
    """Return how something is called, with the types and defaults of its arguments."""
    maker = node
    if isinstance(node, ast.ClassDef):
        maker = next((part for part in node.body if getattr(part, 'name', '') == '__init__'), None)
        if maker is None:
            return f'{name}(…)' if node.bases else f'{name}()'
    call = re.sub(r'^\((self|cls)(, )?', '(', f'({ast.unparse(maker.args)})')
    line = f'{name}{call}'
    if len(line) <= 110:
        return line
    return f'{name}(\n{textwrap.fill(call[1:], 110, initial_indent="    ", subsequent_indent="    ")}'


def as_markdown(docstring: str) -> str:
    """Turn a docstring into Markdown: sections into lists, examples into blocks of code, roles into names."""
    text = re.sub(r':\w+:`~?([^`]+)`', r'`\1`', inspect.cleandoc(docstring))
    lines, section, code = [], None, False
    for line in text.splitlines():
        example = line.lstrip().startswith(('>>> ', '... ')) or bool(code and line.strip())
        if example != code:
            lines.append('```python' if example else '```')
            code = example
        if code:
            lines.append(line.strip())
        elif line.rstrip(':') in SECTIONS and line.endswith(':'):
            section = line[:-1]
            lines += ['', f'**{section}**', '']
        elif section and line.startswith('    ') and not line.startswith('     '):
            item = line.strip()
            name, colon, rest = item.partition(': ')
            lines.append(f'* `{name}`: {rest}' if colon and re.fullmatch(r'[\w*, ]+', name) else f'* {item}')
        elif section and line.startswith('     '):
            lines.append(f'  {line.strip()}')
        else:
            section = section if not line.strip() else None
            lines.append(line)
    if code:
        lines.append('```')
    return '\n'.join(lines)


def entry(package: str, module: str, name: str) -> str:
    """Return the part of a page about one name; empty for what another package publishes itself."""
    file = ROOT / 'mmseg' / Path(*package.split('.'), *module.split('.')).with_suffix('.py')
    if not file.is_file():
        return ''
    node = definitions(file).get(name)
    if node is None:  # made by an assignment
        return f'## {name}\n\n`mmseg.{package}.{module}`\n\n'
    docstring = ast.get_docstring(node) or ''
    parts = [f'## {name}', f'```python\n{signature(node, name)}\n```', as_markdown(docstring),
             f'`mmseg.{package}.{module}`']
    methods = [part for part in getattr(node, 'body', []) if isinstance(part, ast.FunctionDef)
               and isinstance(node, ast.ClassDef) and not part.name.startswith('_') and ast.get_docstring(part)]
    for method in methods:
        parts += [f'### {name}.{method.name}', f'```python\n{signature(method, method.name)}\n```',
                  as_markdown(ast.get_docstring(method))]
    return '\n\n'.join(part for part in parts if part) + '\n\n'


def api_page(package: str, title: str) -> str:
    """Return the page of one package."""
    entries = [entry(package, module, name) for module, names in published(package).items() for name in names]
    return f'# mmseg.{package}: {title}\n\n{"".join(entries)}'


def template(node: ast.expr) -> str:
    """Return a message with … where values are filled in."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return ''.join(map(template, node.values))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return template(node.left) + template(node.right)
    if isinstance(node, ast.IfExp):
        return template(node.body)
    return '…'


def messages(file: Path) -> list[tuple[str, str]]:
    """Return what a module may say when something is wrong: kind and text, in the order of the file.

    Those are the texts of errors and warnings, and sentences that a function returns to be part of one.
    """
    found = []
    for node in ast.walk(ast.parse(file.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Return) and isinstance(node.value, (ast.JoinedStr, ast.BinOp)):
            kind, said = 'part of a message', node.value
        elif isinstance(node, ast.Call) and node.args:
            name, said = ast.unparse(node.func).rpartition('.')[2], node.args[0]
            kind = name if name.endswith('Error') else 'warning' if name in ('warn', 'warning', 'print_log') else None
        else:
            continue
        text = ' '.join(template(said).split())
        if kind and len(re.findall(r'\w+', text)) >= (4 if kind == 'part of a message' else 1):
            found.append((node.lineno, kind, text))
    return [(kind, text) for _, kind, text in sorted(found)]


def messages_page(title: str, text: str) -> str:
    """Return the page that lists every message."""
    parts = [f'# {title}\n\n{text}\n\n']
    for file in sorted((ROOT / 'mmseg').rglob('*.py')):
        found = [] if '.mim' in file.parts else messages(file)
        if found:
            name = '.'.join(file.relative_to(ROOT).with_suffix('').parts)
            parts.append(f'## {name}\n\n' + ''.join(f'* `` {text} `` ({error})\n' for error, text in found) + '\n')
    return ''.join(parts)


def method_page(readme: Path) -> str:
    """Return the README of a folder of configs as a page; its configs are two folders further away."""
    text = readme.read_text(encoding='utf-8')
    nearer = re.sub(r'\]\((\S+\.py)\)', rf'](../../../configs/{readme.parent.name}/\1)', text)
    return f'---\norphan: true\n---\n{nearer}'


def link_to_pages(app, name: str, source: list[str]) -> None:
    """Let links to the READMEs of configs, which work in a checkout, lead to their pages here."""
    source[0] = re.sub(r'\]\(\.\./\.\./configs/(\w+)/README\.md\)', r'](methods/\1.md)', source[0])


def setup(app) -> None:
    """Write the pages of one language, and follow links out of the folder; Sphinx calls it through `conf.py`."""
    write(Path(app.srcdir).name)
    app.connect('source-read', link_to_pages)


def write(language: str) -> None:
    """Write the pages of one language; a file that would not change is left alone."""
    words, folder = WORDS[language], ROOT / 'docs' / language
    pages = {folder / 'api' / f'{package}.md': api_page(package, title) for package, title in PACKAGES.items()}
    listed = '\n'.join(PACKAGES)
    pages[folder / 'api' / 'index.md'] = (
        f'# {words["api"]}\n\n{words["api_text"]}\n\n```{{toctree}}\n:maxdepth: 1\n\n{listed}\n```\n')
    pages[folder / 'messages.md'] = messages_page(words['messages'], words['messages_text'])
    for readme in sorted((ROOT / 'configs').glob('*/README.md')):
        pages[folder / 'methods' / f'{readme.parent.name}.md'] = method_page(readme)
    for path, text in pages.items():
        path.parent.mkdir(exist_ok=True)
        if not path.is_file() or path.read_text(encoding='utf-8') != text:
            path.write_text(text, encoding='utf-8')
