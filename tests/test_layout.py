"""The code keeps to its layout: imports point one way, files stay short, nothing is left half done."""
import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted(path for path in (ROOT / 'mmseg').rglob('*.py') if '.mim' not in path.parts)
SCRIPTS = sorted(path for folder in ('tools', 'demo') for path in (ROOT / folder).rglob('*.py'))
TESTS = sorted((ROOT / 'tests').rglob('*.py'))
MOST_LINES = 550

# registry → structures, ops, utils → datasets | models | evaluation | engine | visualization → apis → export → serving
# → cli → tools
LEVELS = (('version', 'registry'), ('structures', 'ops', 'utils'),
          ('datasets', 'models', 'evaluation', 'engine', 'visualization'), ('apis',), ('export',), ('serving',),
          ('cli',))
LEVEL = {part: level for level, parts in enumerate(LEVELS) for part in parts}
MIDDLE = LEVELS[2]
# Importing part, imported part: why parts of the middle, which otherwise know nothing of one another, may.
SIBLINGS = {
    ('engine', 'visualization'): 'the visualization hook writes the pictures that the visualizer draws',
}

# Imported at the top of a module: what requirements/runtime.txt and lite.txt bring, under its import name.
RUNTIME = {'PIL', 'cv2', 'matplotlib', 'mmcv', 'mmengine', 'mmseg', 'numpy', 'packaging', 'prettytable', 'scipy',
           'torch'}


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def tree_of(path):
    return ast.parse(path.read_text(encoding='utf-8'))


def imported(node, path):
    """The modules that an import statement names, in full."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    package = path.relative_to(ROOT).parts[:-node.level] if node.level else ()
    module = '.'.join([*package, *([node.module] if node.module else [])])
    return [f'mmseg.{alias.name}' for alias in node.names] if module == 'mmseg' else [module]


def is_allowed(importer, target):
    if importer == target or LEVEL[importer] > LEVEL[target]:
        return True
    if LEVEL[importer] < LEVEL[target]:
        # The lists of exports of every package are made by one function, which itself imports nothing of ours.
        return False
    return importer not in MIDDLE or (importer, target) in SIBLINGS


def parts_of_import(node, path):
    """The parts of mmseg that an import statement reaches."""
    names = [name.split('.') for name in imported(node, path)]
    return [name[1] for name in names if name[0] == 'mmseg' and len(name) > 1 and name[1] in LEVEL]


@pytest.mark.parametrize('path', MODULES, ids=name_of)
def test_imports_point_one_way(path):
    part = path.relative_to(ROOT / 'mmseg').parts[0].removesuffix('.py')
    if part == '__init__':
        part = 'utils'
    wrong = [f'line {node.lineno}: mmseg.{part} imports mmseg.{target}'
             for node in ast.walk(tree_of(path)) for target in parts_of_import(node, path)
             if not is_allowed(part, target)]
    assert not wrong


@pytest.mark.parametrize(('importer', 'target', 'allowed'), [
    ('cli', 'apis', True), ('apis', 'models', True), ('models', 'ops', True), ('structures', 'registry', True),
    ('utils', 'structures', True), ('engine', 'visualization', True),
    ('apis', 'cli', False), ('models', 'apis', False), ('ops', 'models', False), ('registry', 'utils', False),
    ('datasets', 'models', False), ('visualization', 'engine', False), ('evaluation', 'engine', False)])
def test_the_rule_of_imports(importer, target, allowed):
    assert is_allowed(importer, target) == allowed


def test_relative_imports_are_seen():
    statement = ast.parse('from ..apis import inference').body[0]
    assert parts_of_import(statement, ROOT / 'mmseg' / 'models' / 'builder.py') == ['apis']


def test_every_part_has_a_level():
    parts = {path.relative_to(ROOT / 'mmseg').parts[0].removesuffix('.py') for path in MODULES} - {'__init__'}
    assert parts == set(LEVEL)


@pytest.mark.parametrize('path', SCRIPTS, ids=name_of)
def test_nothing_imports_a_script(path):
    """Scripts call the package; what the package needs of a script belongs into `mmseg.cli`."""
    statements = [node for node in ast.walk(tree_of(path)) if isinstance(node, (ast.Import, ast.ImportFrom))]
    assert not [name for node in statements for name in imported(node, path) if name.split('.')[0] in ('tools', 'demo')]


@pytest.mark.parametrize('path', MODULES, ids=name_of)
def test_top_level_imports_are_required_packages(path):
    """What the runtime requirements do not bring may only be imported where it is used."""
    names = {name.split('.')[0] for node in tree_of(path).body for name in imported(node, path)}
    assert names - RUNTIME - sys.stdlib_module_names == set()


@pytest.mark.parametrize('path', [*MODULES, *SCRIPTS, *TESTS], ids=name_of)
def test_files_stay_short_and_finished(path):
    lines = path.read_text(encoding='utf-8').splitlines()
    assert len(lines) <= MOST_LINES
    marks = '|'.join(('TO' + 'DO', 'FIX' + 'ME', 'X' * 3 + r'\b', 'HA' + r'CK\b'))
    assert [line for line in lines if re.search(rf'\b({marks})', line)] == []


@pytest.mark.parametrize('path', [*MODULES, *SCRIPTS], ids=name_of)
def test_no_mutable_defaults(path):
    literals = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
    found = []
    for node in ast.walk(tree_of(path)):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        for default in (*node.args.defaults, *filter(None, node.args.kw_defaults)):
            called = isinstance(default, ast.Call) and getattr(default.func, 'id', '') in ('dict', 'list', 'set')
            if called or isinstance(default, literals):
                found.append(f'line {default.lineno}: {ast.unparse(default)}')
    assert found == []


def test_no_path_of_a_machine():
    """Nothing in the code refers to a folder outside of the repository."""
    outside = re.compile(r'''['"\s(](/home|/root|/work|/tmp|/opt|/mnt|[A-Z]:\\)[/\\]?\w''')
    found = [f'{name_of(path)}: {line.strip()}' for path in (*MODULES, *SCRIPTS)
             for line in path.read_text(encoding='utf-8').splitlines() if outside.search(line)]
    assert found == []
