"""The notebooks in demo/ run from top to bottom, on a small network and for a few steps."""
import json
import shutil

import matplotlib
import pytest

from tests.cli.tiny import project  # noqa: F401  (a fixture)
from tests.docs.pages import ROOT

NOTEBOOKS = sorted((ROOT / 'demo').glob('*.ipynb'))


def code_cells(path):
    """Return the code of each cell, and whether it is the one with the values to change."""
    cells = json.loads(path.read_text(encoding='utf-8'))['cells']
    return [(''.join(cell['source']), 'parameters' in cell['metadata'].get('tags', ()))
            for cell in cells if cell['cell_type'] == 'code']


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = matplotlib.get_backend()
    matplotlib.use('Agg')
    shutil.copy(ROOT / 'demo' / 'demo.png', tmp_path)
    yield tmp_path
    matplotlib.pyplot.close('all')
    matplotlib.use(before)


def run(name, instead):
    """Run the cells of a notebook in one namespace, with other values than those of its first one."""
    names = {}
    for number, (code, is_first) in enumerate(code_cells(ROOT / 'demo' / name)):
        exec(compile(code, f'{name}, cell {number}', 'exec'), names)
        if is_first:
            assert set(instead) <= set(names)
            names.update(instead)
    return names


def test_there_are_three_without_results_in_them():
    assert [path.name for path in NOTEBOOKS] == ['inference.ipynb', 'read_a_result.ipynb', 'train_on_your_images.ipynb']
    for path in NOTEBOOKS:
        cells = json.loads(path.read_text(encoding='utf-8'))['cells']
        assert not any(cell.get('outputs') for cell in cells)
        assert sum(is_first for _, is_first in code_cells(path)) == 1


@pytest.mark.filterwarnings('ignore')
def test_inference(place, project, capsys):  # noqa: F811
    picture = next((project.parent / 'data' / 'images').rglob('*.png'))
    names = run('inference.ipynb', dict(config=str(project), checkpoint=str(project.with_suffix('.pth')),
                                        picture=str(picture)))
    assert '3 classes: ground, box, stripe' in capsys.readouterr().out
    assert names['drawn'].shape == names['image'].shape
    assert {frame.shape for frame in names['frames']} == {(48, 48)}
    assert (place / 'labelled.png').is_file() and list((place / 'labelled' / 'vis').iterdir())


@pytest.mark.filterwarnings('ignore')
def test_read_a_result(place, project, capsys):  # noqa: F811
    picture = next((project.parent / 'data' / 'images').rglob('*.png'))
    names = run('read_a_result.ipynb', dict(config=str(project), checkpoint=str(project.with_suffix('.pth')),
                                            picture=str(picture)))
    said = capsys.readouterr().out
    assert 'size (48, 64) of the picture (48, 64)' in said and said.count(' 100.0\n') == len(names['labels'].unique())
    assert names['probabilities'].shape == (3, 48, 64)


@pytest.mark.filterwarnings('ignore')
def test_train_on_your_images(place):
    names = run('train_on_your_images.ipynb', dict(iterations=2))
    assert names['dataset'].metainfo['classes'] == ('ground', 'disc', 'box')
    assert names['sample']['inputs'].shape == (3, 160, 160)
    assert (place / 'work_dirs' / 'shapes' / 'iter_2.pth').is_file() and (place / 'result.png').is_file()
