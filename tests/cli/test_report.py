import re
from base64 import b64decode

import cv2
import numpy as np
import pytest

from mmseg.cli import main
from tests.cli.tiny import HEIGHT, WIDTH


@pytest.fixture(scope='module')
def model(project):
    return [str(project), str(project.with_suffix('.pth')), '--device', 'cpu']


def test_a_report_agrees_with_the_test(project, model, tmp_path, capsys):
    page = tmp_path / 'out' / 'report.html'
    assert main(['report', *model, '--out', str(page), '--examples', '2']) == 0
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.endswith(f': see {page}')
    figures = dict(figure.rsplit(' ', 1) for figure in said.partition(':')[0].split(', '))
    assert main(['test', *model[:2], '--work-dir', str(tmp_path / 'work')]) == 0
    log = next((tmp_path / 'work').rglob('*.log')).read_text()
    for name in ('mIoU', 'mAcc', 'aAcc'):
        expected = re.search(rf'{name}: ([\d.]+)', log)[1]
        assert float(figures[name]) == pytest.approx(float(expected), abs=0.02)

    text = page.read_text(encoding='utf-8')
    assert '6 images of BaseSegDataset, 3 classes' in text and 'tiny' in text
    pictures = [cv2.imdecode(np.frombuffer(b64decode(content), np.uint8), 1)
                for content in re.findall(r'data:image/jpeg;base64,([\w+/=]+)', text)]
    assert [picture.shape for picture in pictures] == [(HEIGHT, WIDTH, 3)] * 16
    errors = pictures[3]
    assert (errors[0] < 30).all(), 'the first rows are ignored, and black'
    orange = np.abs(errors.astype(int) - (0, 94, 213)).sum(-1) < 60
    assert orange.any() and not orange.all()


def test_a_part_of_the_images_will_do(model, tmp_path):
    page = tmp_path / 'r.html'
    assert main(['report', *model, '--out', str(page), '--limit', '2', '--examples', '0', '--amp']) == 0
    text = page.read_text(encoding='utf-8')
    assert '2 images of 6, spread evenly of BaseSegDataset' in text and '<img' not in text and 'mixed' in text


@pytest.mark.parametrize(('options', 'sentence'), [
    (['--limit', '0'], 'a report needs at least one image, found 0'),
    (['--examples', '-1'], '--examples takes a number from 0, found -1'),
    (['--out', '{folder}'], 'is a folder: give a file'),
    (['--out', '{file}/x.html'], 'cannot write to the folder'),
    (['--cfg-options', 'test_dataloader=None'], 'has no test_dataloader: nothing to evaluate')])
def test_what_cannot_be_done_is_one_sentence(model, tmp_path, capsys, monkeypatch, options, sentence):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'file').touch()
    options = [option.format(folder=tmp_path, file=tmp_path / 'file') for option in options]
    assert main(['report', *model, *options]) == 2
    assert sentence in capsys.readouterr().err
