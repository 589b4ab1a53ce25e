"""What README and docs print works: code compiles or runs, command lines are understood, links lead somewhere."""
import argparse
import importlib
import re
import runpy
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import mmengine.optim  # noqa: F401  (registers PyTorch's optimisers)
import pytest

from mmseg import registry
from mmseg.cli import COMMANDS, main
from mmseg.utils.config import read_config
from tests.docs.pages import METHODS, PAGES, ROOT, anchors, blocks, command_lines, links, name_of

RUN = ('customising.md', 'structures.md')
# Programs that are not ours; what follows them is not looked at.
OTHERS = {'cd', 'curl', 'docker', 'export', 'ffmpeg', 'gdal_translate', 'git', 'mkdir', 'pre-commit',
          'torch-model-archiver', 'torchserve', 'trtexec', 'unzip', 'xdg-open'}


class Understood(Exception):
    """Arguments were parsed; nothing more is to happen."""


@pytest.fixture
def only_parse(monkeypatch):
    """Let every script end where its arguments have been understood."""
    original = argparse.ArgumentParser.parse_args

    def parse(self, args=None, namespace=None):
        original(self, args, namespace)
        raise Understood

    monkeypatch.setattr(argparse.ArgumentParser, 'parse_args', parse)
    return monkeypatch


def mmseg(arguments):
    if arguments[0] in ('--version', '--help'):
        return
    assert arguments[0].replace('_', '-') in COMMANDS, f'no command {arguments[0]}'
    if arguments[:2] == ['convert-dataset', 'NAME']:
        arguments = ['convert-dataset', 'ade20k', *arguments[2:]]
    with pytest.raises(Understood):
        main(arguments)


def script(path, arguments, monkeypatch):
    assert (ROOT / path).is_file(), f'no script {path}'
    monkeypatch.setattr(sys, 'argv', [path, *arguments])
    monkeypatch.setattr(sys, 'path', list(sys.path))
    with pytest.raises(Understood):
        runpy.run_path(str(ROOT / path), run_name='__main__')


def shell_script(path, arguments):
    """A launcher passes what it does not need itself to `mmseg train` or `mmseg test`."""
    assert (ROOT / path).is_file(), f'no script {path}'
    command = 'train' if 'train' in path else 'test'
    if 'slurm' in path:
        return mmseg([command, *arguments[2:]])
    given = 1 if command == 'train' else 2
    assert not arguments[given:] or arguments[given].isdigit(), f'{path} takes a number of GPUs, not {arguments[given]}'
    return mmseg([command, *arguments[:given], *arguments[given + 1:]])


def check(words, monkeypatch):
    program, arguments = words[0].removeprefix('.venv/bin/').removeprefix('./'), words[1:]
    if program == 'bash':
        program, arguments = arguments[0], arguments[1:]
    if program.endswith('.sh'):
        shell_script(program, arguments)
    elif program == 'mmseg':
        mmseg(arguments)
    elif program in ('python', 'python3'):
        if arguments[0] == '-c':
            compile(arguments[1], 'command', 'exec')
        elif 'mmseg.cli' in arguments:
            mmseg(arguments[arguments.index('mmseg.cli') + 1:])
        elif arguments[0] == '-m':
            # of the interpreter's other modules only that they are there
            assert importlib.util.find_spec(arguments[1].partition('.')[0]), arguments[1]
        else:
            script(arguments[0], arguments[1:], monkeypatch)
    elif program == 'make':
        makefile = (ROOT / 'Makefile').read_text()
        assert all(re.search(rf'^{word}:', makefile, re.M) for word in arguments if '=' not in word)
    elif program == 'pip':
        check_pip(arguments)
    else:
        assert program in OTHERS, f'{program}: a program of its own?'


def check_pip(arguments):
    """Extras and files that are named to pip exist."""
    assert arguments[0] in ('install', 'download')
    extras = re.search(r"^EXTRAS = \((.+)\)", (ROOT / 'setup.py').read_text(), re.M)[1]
    for name in re.findall(r'(?:mmsegmentation|\.)\[(.+?)\]', ' '.join(arguments)):
        assert all(part in (*re.findall(r"'(\w+)'", extras), 'all', 'NAME') for part in name.split(',')), name
    for option, value in zip(arguments, arguments[1:]):
        if option in ('-c', '-r'):
            assert (ROOT / value).is_file(), value


@pytest.mark.parametrize('page', [*PAGES, *METHODS], ids=name_of)
def test_command_lines_are_understood(page, only_parse, capsys):
    for line, words in command_lines(page):
        try:
            check(words, only_parse)
        except SystemExit as end:  # how argparse refuses
            pytest.fail(f'{name_of(page)}:{line}: {" ".join(words)}: {end} {capsys.readouterr().err[-300:]}')
        except AssertionError as error:
            pytest.fail(f'{name_of(page)}:{line}: {" ".join(words)}: {error}')


@pytest.mark.parametrize('page', PAGES, ids=name_of)
def test_python_compiles(page):
    for line, code in blocks(page, 'python'):
        code = re.sub(r'\{\{(.+?)\}\}', r'(\1)', code)  # mmengine's `{{_base_.variable}}`
        compile('\n' * (line - 1) + code, name_of(page), 'exec')


@pytest.mark.parametrize('language', ['en', 'zh_cn'])
def test_examples_run(language):
    """In a process of its own: what the examples register shall not stay."""
    code = [code for name in RUN for _, code in blocks(ROOT / 'docs' / language / name, 'python')]
    assert len(code) > 10
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', '\n\n'.join(code)], cwd=ROOT, capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stderr[-2000:]


CONFIGS = [(page, line, code) for page in PAGES for line, code in blocks(page, 'python') if code.startswith('_base_')]


@pytest.mark.parametrize(('page', 'line', 'code'), CONFIGS,
                         ids=[f'{name_of(page)}:{line}' for page, line, _ in CONFIGS])
def test_configs_can_be_read(page, line, code, tmp_path):
    folder = f"'{(ROOT / 'configs').as_posix()}/"
    code = code.replace("'mmseg::", folder).replace("'../_base_", f'{folder}_base_')
    (tmp_path / 'config.py').write_text(code, encoding='utf-8')
    cfg = read_config(tmp_path / 'config.py')
    assert cfg.model.type == 'EncoderDecoder'
    assert cfg.train_dataloader.dataset.type in registry.DATASETS


@pytest.mark.parametrize('page', PAGES, ids=name_of)
def test_types_are_known(page):
    text = page.read_text(encoding='utf-8')
    registries = [value for value in vars(registry).values() if isinstance(value, registry.Registry)]
    own = set(re.findall(r'^class (\w+)', text, re.M))
    names = set(re.findall(r'''\btype=['"](\w+)['"]''', text)) - own
    names -= {'GN', 'BN', 'SyncBN', 'ReLU', 'Adam', 'My', 'Name'}  # mmcv's layers, and a place to fill in
    unknown = [name for name in sorted(names) if not any(name in known for known in registries)]
    assert unknown == []


@pytest.mark.parametrize('page', [*PAGES, *METHODS], ids=name_of)
def test_links_lead_somewhere(page):
    broken = []
    for link in links(page):
        target, _, anchor = link.partition('#')
        if '://' in target or target.startswith('mailto:'):
            assert re.fullmatch(r'https?://[\w.-]+(:\d+)?(/\S*)?', target), target
            continue
        file = page.parent / target if target else page
        file = file if file.is_file() else file.with_name(f'{file.name}.md')
        generated = file.name == 'messages.md' or file.parent.name in ('api', 'methods')
        if not generated and (not file.is_file() or anchor and anchor not in anchors(file)):
            broken.append(link)
    assert broken == []


# Of Python, PyTorch and mmengine.
FOREIGN = ('CUDA out of memory', 'DataLoader worker', 'bus error', 'pkg_resources', 'got an unexpected keyword')


@pytest.mark.parametrize('language', ['en', 'zh_cn'])
def test_messages_of_troubleshooting_are_those_of_the_code(language):
    page = (ROOT / 'docs' / language / 'troubleshooting.md').read_text(encoding='utf-8')
    said = ' '.join(re.findall(r'\S+', ' '.join(
        re.sub(r'''\n\s*|['"]\s*\n\s*f?r?['"]''', '', path.read_text(encoding='utf-8'))
        for path in sorted((ROOT / 'mmseg').rglob('*.py')) if '.mim' not in path.parts)))
    said = re.sub(r'''["'] *f?["']|\\''', '', said)

    def parts(text):
        found = [part.strip(' :;,') for part in re.split('…+', ' '.join(text.split()))]
        return [part for part in found if len(part) > 8]

    quoted = [text for bold in re.findall(r'\*\*(.+?)\*\*', page, re.S) for text in re.findall(r'`([^`]+)`', bold)]
    assert len(quoted) > 40
    unknown = [text for text in quoted if not any(part in text for part in FOREIGN)
               for part in parts(text) if part not in said]
    assert unknown == []


@pytest.mark.parametrize('language', ['en', 'zh_cn'])
def test_the_index_lists_every_page(language):
    folder = ROOT / 'docs' / language
    trees = re.findall(r'```\{toctree\}\n(.*?)```', (folder / 'index.md').read_text(encoding='utf-8'), re.S)
    listed = {line for tree in trees for line in tree.splitlines() if line and not line.startswith(':')}
    pages = {page.stem for page in folder.glob('*.md')} - {'index', 'messages'}
    assert [page for page in sorted(pages) if not any(fnmatch(page, pattern) for pattern in listed)] == []
    assert [name for name in sorted(listed) if '*' not in name] == sorted(pages.intersection(listed) | {
        'api/index', 'messages'})


def test_both_languages_have_the_same_pages():
    english, chinese = ({page.name for page in (ROOT / 'docs' / folder).glob('*.md')} for folder in ('en', 'zh_cn'))
    assert chinese - {'messages.md'} <= english
    assert english - chinese <= {'deployment.md', 'messages.md'}


@pytest.mark.parametrize('language', ['en', 'zh_cn'])
def test_pages_build_without_a_warning(language, tmp_path):
    pytest.importorskip('myst_parser', reason='pip install -r requirements/docs.txt')
    done = subprocess.run([sys.executable, '-m', 'sphinx', '-q', '-W', '--keep-going', '-b', 'html',
                           str(ROOT / 'docs' / language), str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert 'num_convs' in Path(tmp_path, 'api', 'models.decode_heads.html').read_text(encoding='utf-8')
