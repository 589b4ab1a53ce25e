"""`mmseg doctor`, `mmseg browse` and `mmseg benchmark-loader` on a tiny data set."""
import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config

from mmseg.cli import browse, main
from mmseg.cli.benchmark_loader import Timed
from mmseg.utils.errors import InputError
from tests.cli.tiny import CLASSES, HEIGHT, PALETTE, WIDTH, write_project


@pytest.fixture
def config(tmp_path):
    return write_project(tmp_path)


# ---------------------------------------------------------------------- doctor

def test_the_doctor_finds_nothing(config, capsys):
    assert main(['doctor', str(config), '--workers', '0', '--splits', 'train']) == 0
    text = capsys.readouterr().out
    assert f'train: 6 images, 6 labels; all {HEIGHT}x{WIDTH}' in text and text.endswith('no problems found\n')


def test_the_doctor_has_status_1_where_something_is_wrong(config, capsys, tmp_path):
    """Training and validation share their images here."""
    report = tmp_path / 'out' / 'report.json'
    assert main(['doctor', str(config), '--workers', '2', '--json', str(report)]) == 0, 'one split'
    data = tmp_path / 'data'
    shutil.copytree(data / 'images', data / 'more' / 'images')
    shutil.copytree(data / 'labels', data / 'more' / 'labels')
    (data / 'labels' / 'part' / '3.png').unlink()
    capsys.readouterr()
    options = ['--cfg-options', f'val_dataloader.dataset.data_root={data / "more"}']
    assert main(['doctor', str(config), '--workers', '0', '--json', '-', *options]) == 1
    found = json.loads(capsys.readouterr().out)
    kinds = {remark['kind']: remark['count'] for remark in found['remarks']}
    assert kinds == {'missing label': 1, 'copies between splits': 6}
    assert json.loads(report.read_text())['images'] == 6


def test_names_that_are_no_text_are_told(config, tmp_path, capsys):
    folder = tmp_path / 'data' / 'images' / 'part'
    try:
        (folder / '0.png').rename(os.fsdecode(os.fsencode(folder) + b'/caf\xe9.png'))
    except OSError:
        pytest.skip('this disk takes text only')
    assert main(['doctor', str(config), '--workers', '0', '--splits', 'train']) == 1
    assert 'no label for' in capsys.readouterr().out


def test_the_doctor_looks_where_data_root_says(config, tmp_path, capsys):
    (tmp_path / 'data').rename(tmp_path / 'elsewhere')
    arguments = ['doctor', str(config), '--workers', '0']
    assert main(arguments) == 1
    assert 'unreadable list' in capsys.readouterr().out
    assert main([*arguments, '--data-root', str(tmp_path / 'elsewhere')]) == 0


def test_a_config_without_data_has_status_2(tmp_path, capsys):
    (tmp_path / 'c.py').write_text('model = dict()\n')
    assert main(['doctor', str(tmp_path / 'c.py')]) == 2
    assert 'has none of train_dataloader, val_dataloader, test_dataloader' in capsys.readouterr().err


# ---------------------------------------------------------------------- browse

def panels(path, count):
    """Cut a picture into its panels, each READABLE times as large as the image; the title and the legend fall away."""
    picture = cv2.imread(str(path))[..., ::-1]
    width = (picture.shape[1] + 4) // count - 4
    factor = width // WIDTH
    top = next(row for row in range(10, 60) if (picture[row, :factor * WIDTH] != 255).any(1).mean() > 0.9)
    return [picture[top:top + factor * HEIGHT:factor, start:start + factor * WIDTH:factor]
            for start in range(0, picture.shape[1], width + 4)]


def test_files_are_drawn_as_they_are(config, tmp_path):
    out = tmp_path / 'pictures'
    assert main(['browse', str(config), '--output-dir', str(out), '--not-show', '--show-origin', '--opacity', '1']) == 0
    assert sorted(path.name for path in out.iterdir()) == [f'{index}.png' for index in range(6)]
    image, labels = panels(out / '2.png', 2)
    np.testing.assert_array_equal(image, cv2.imread(str(tmp_path / 'data/images/part/2.png'))[..., ::-1])
    expected = np.array([*PALETTE, *[[0, 0, 0]] * 253])[cv2.imread(str(tmp_path / 'data/labels/part/2.png'), 0)]
    np.testing.assert_array_equal(labels, expected)


def browser(config, *options):
    from argparse import ArgumentParser
    parser = ArgumentParser()
    browse.add_arguments(parser)
    args = parser.parse_args([str(config), '--not-show', *options])
    return browse.Browser(Config.fromfile(str(config)), args)


def test_the_network_sees_what_the_pipeline_and_the_preprocessor_make(config):
    """The crop is all of the input; its normalisation is undone, and its bands are turned back for the eye."""
    found = browser(config)
    packed = found.dataset[0]
    picture, labels = found._input(packed)
    np.testing.assert_array_equal(picture, packed['inputs'].numpy().transpose(1, 2, 0)[..., ::-1])
    np.testing.assert_array_equal(labels, packed['data_samples'].gt_sem_seg.data[0])
    found = browser(config, '--skip-type', 'RandomCrop')
    found.preprocessor.size = (60, 70)
    picture, labels = found._input(found.dataset[0])
    assert picture.shape == (60, 70, 3) and (picture[HEIGHT:] == 120).all() and (labels[HEIGHT:] == 255).all()


def test_a_picture_names_the_classes_in_it(config):
    name, picture = browser(config, '--seed', '3').draw(1)
    assert name.endswith('part/1.png') and picture.dtype == np.uint8 and picture.shape[1] > 4 * WIDTH


def test_what_may_be_left_out(config):
    with pytest.raises(InputError, match='--skip-type names RandomFlipp, which the pipeline does not have: it has'):
        browser(config, '--skip-type', 'RandomFlipp')
    assert browser(config, '--skip-type', 'Normalize', 'PackSegInputs').dataset[0]['inputs'].shape == (3, 32, 32)


@pytest.mark.parametrize(('shape', 'dtype'), [((4, 5), np.uint8), ((4, 5, 1), np.uint16), ((4, 5, 2), np.float32),
                                              ((4, 5, 3), np.uint16), ((4, 5, 7), np.float32),
                                              ((2, 3, 4, 5), np.float32)])
def test_any_image_becomes_a_picture(shape, dtype):
    image = np.random.default_rng(0).integers(0, 250, shape).astype(dtype)
    picture = browse.as_picture(image)
    assert picture.shape == (4, 5, 3) and picture.dtype == np.uint8 and picture.max() > 200
    if shape == (4, 5):
        np.testing.assert_array_equal(picture, image[..., None].repeat(3, 2))


def test_pictures_of_one_name_are_kept_apart():
    written = set()
    assert [browse.unused(name, index, written) for index, name in enumerate(('a/x.jpg', 'b/x.jpg', 'c/y.tif'))] == [
        'x.jpg', 'x_1.jpg', 'y.png']


def test_nothing_to_do_is_told(config, capsys, monkeypatch):
    assert main(['browse', str(config), '--not-show']) == 2
    assert 'no window shall be opened: give --output-dir' in capsys.readouterr().err
    monkeypatch.setattr('matplotlib.get_backend', lambda: 'agg')
    assert main(['browse', str(config)]) == 2
    assert 'no window can be opened: give --output-dir' in capsys.readouterr().err


def test_pictures_are_shown_for_the_time_asked_for(config, monkeypatch):
    shown = []
    monkeypatch.setattr('matplotlib.get_backend', lambda: 'tkagg')
    monkeypatch.setattr('mmseg.visualization.SegLocalVisualizer.show',
                        lambda self, picture, win_name, wait_time: shown.append((Path(win_name).name, wait_time)))
    assert main(['browse', str(config), '--count', '2', '--show-interval', '0.5']) == 0
    assert shown == [('0.png', 0.5), ('3.png', 0.5)]


# ---------------------------------------------------------------------- benchmark-loader

def test_the_loader_is_measured_with_its_steps(config, tmp_path, capsys):
    out = tmp_path / 'loading.json'
    assert main(['benchmark-loader', str(config), '--workers', '0', '1', '--images', '8', '--warm-up', '1', '--format',
                 'json', '--out', str(out)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == json.loads(out.read_text()) and found['batch_size'] == 2
    assert [(row['workers'], row['images'], row['images/s'] > 0) for row in found['loading']] == [
        (0, 8, True), (1, 8, True)]
    steps = {step['step']: step['share'] for step in found['steps']}
    assert list(steps) == ['LoadImageFromFile', 'LoadAnnotations', 'RandomCrop', 'PackSegInputs', 'collate',
                           'list of samples, and the rest']
    assert sum(steps.values()) == pytest.approx(100, abs=0.5)


def test_joined_steps_and_mixing_data_sets_are_timed(config, tmp_path, capsys):
    text = config.read_text() + '''
train_pipeline[2:3] = [dict(type='RandomResize', scale=(64, 48), ratio_range=(0.5, 2.)),
                       dict(type='RandomCrop', crop_size=crop_size)]
inner = dict(train_dataloader['dataset'], pipeline=train_pipeline[:2])
train_dataloader['dataset'] = dict(type='MultiImageMixDataset', pipeline=[
    dict(type='RandomMosaic', prob=1., img_scale=(48, 64)), *train_pipeline[2:]], dataset=dict(
        type='RepeatDataset', times=2, dataset=inner))
val_dataloader['dataset'] = dict(val_dataloader['dataset'], pipeline=train_pipeline)
'''
    config.write_text(text.replace('{CLASSES}', repr(CLASSES)))
    for split, expected in (('train', ['RandomMosaic', 'RandomResize', 'RandomCrop']),
                            ('val', ['RandomResize', 'RandomCrop'])):
        main(['benchmark-loader', str(config), '--split', split, '--workers', '0', '--images', '4'])
        report = capsys.readouterr().out
        assert all(word in report for word in (*expected, 'LoadAnnotations', 'images/s', 'collate'))


def test_a_timed_step_is_still_the_step():
    class Step:
        answer = 42

        def __call__(self, results):
            return dict(results, done=True)

    seconds = dict(Step=0.0)
    timed = Timed(Step(), seconds)
    assert timed(dict(a=1)) == dict(a=1, done=True) and timed.answer == 42 and seconds['Step'] > 0


def test_a_loader_that_is_not_there_is_told(tmp_path, capsys):
    (tmp_path / 'c.py').write_text('model = dict()\n')
    assert main(['benchmark-loader', str(tmp_path / 'c.py')]) == 2
    assert 'has no train_dataloader' in capsys.readouterr().err
