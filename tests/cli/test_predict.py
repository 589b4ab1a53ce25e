import json
import runpy
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmseg.apis import MMSegInferencer
from mmseg.cli import main
from tests.cli.tiny import PALETTE

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope='module')
def folder(project):
    return project.parent / 'data' / 'images' / 'part'


@pytest.fixture(scope='module')
def model(project):
    return [str(project), str(project.with_suffix('.pth'))]


@pytest.fixture(scope='module')
def expected(model, folder):
    inferencer = MMSegInferencer(*model, device='cpu')
    inferencer.show_progress = False
    return inferencer(str(folder))['predictions']


@pytest.fixture(scope='module')
def video(folder, tmp_path_factory):
    path = tmp_path_factory.mktemp('video') / 'drive.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 8., (64, 48))
    for number in range(6):
        writer.write(cv2.imread(str(folder / f'{number}.png')))
    writer.release()
    return path


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob('*') if path.is_file())


def test_folders_patterns_and_files_are_labelled(model, folder, expected, tmp_path, capsys):
    inputs = [str(folder / '0.png'), str(folder / '[12].png'), str(folder)]
    assert main(['predict', *model, *inputs, '--out-dir', str(tmp_path), '--device', 'cpu', '--batch-size', '4']) == 0
    assert capsys.readouterr().out.endswith(f'9 images labelled: see {tmp_path}\n')
    for name, number in {'0': 0, '1': 1, '2': 2, '0_2': 0, '1_2': 1, '2_2': 2, '3': 3, '4': 4, '5': 5}.items():
        labels = cv2.imread(str(tmp_path / 'pred' / f'{name}.png'), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(labels, expected[number])
    assert len(list((tmp_path / 'vis').iterdir())) == 9


def test_everything_can_be_saved(model, folder, expected, tmp_path):
    assert main(['predict', *model, str(folder / '3.png'), '--out-dir', str(tmp_path), '--save', 'colors', 'confidence',
                 'probabilities']) == 0
    assert names(tmp_path) == ['colors/3.png', 'confidence/3.png', 'probabilities/3.npy']
    probabilities = np.load(tmp_path / 'probabilities' / '3.npy')
    assert probabilities.shape == (3, 48, 64) and np.allclose(probabilities.sum(0), 1, atol=2e-3)
    assert (probabilities.argmax(0) == expected[3]).mean() > 0.99  # float16 ties
    confidence = cv2.imread(str(tmp_path / 'confidence' / '3.png'), cv2.IMREAD_UNCHANGED)
    assert np.abs(confidence / 255. - probabilities.max(0)).max() < 0.01
    colors = cv2.imread(str(tmp_path / 'colors' / '3.png'))[..., ::-1]
    assert np.array_equal(colors, np.array(PALETTE, np.uint8)[expected[3]])


def test_a_video_becomes_a_video(model, video, tmp_path):
    assert main(['predict', *model, str(video), '--out-dir', str(tmp_path), '--no-pictures']) == 0
    assert names(tmp_path) == [f'pred/drive/{number:08d}.png' for number in range(6)]
    assert main(['predict', *model, str(video), '--out-dir', str(tmp_path / 'b'), '--save', 'pictures']) == 0
    assert names(tmp_path / 'b') == ['vis/drive.mp4']
    film = cv2.VideoCapture(str(tmp_path / 'b' / 'vis' / 'drive.mp4'))
    frames = []
    while True:
        there, frame = film.read()
        if not there:
            break
        frames.append(frame)
    assert (len(frames), film.get(cv2.CAP_PROP_FPS), frames[0].shape) == (6, 8., (48, 64, 3))
    assert not np.array_equal(frames[0], frames[5])


def test_mixed_precision_labels_nearly_alike(model, folder, expected, tmp_path):
    assert main(['predict', *model, str(folder), '--out-dir', str(tmp_path), '--save', 'labels', '--amp', '--device',
                 'cpu']) == 0
    labels = [cv2.imread(str(tmp_path / 'pred' / f'{number}.png'), cv2.IMREAD_UNCHANGED) for number in range(6)]
    agreement = (np.stack(labels) == np.stack(expected)).mean()
    assert agreement > 0.95


def test_what_cannot_be_read_is_named_and_the_rest_goes_on(model, folder, tmp_path, capsys):
    bad = tmp_path / 'in'
    shutil.copytree(folder, bad)
    (bad / '2.png').write_bytes((folder / '2.png').read_bytes()[:300])
    (bad / 'empty.jpg').touch()
    (bad / 'film.mp4').write_text('no film')
    assert main(['predict', *model, str(bad), '--out-dir', str(tmp_path / 'out'), '--batch-size', '3']) == 1
    said = capsys.readouterr()
    assert said.out.endswith(f'5 images labelled, 3 could not be read: see {tmp_path / "out"}\n')
    lines = [line for line in said.err.splitlines() if line.startswith('mmseg predict: ')]
    assert len(lines) == 3
    assert all(any(name in line for line in lines) for name in ('2.png', 'empty.jpg', 'film.mp4'))
    assert len(list((tmp_path / 'out' / 'pred').iterdir())) == 5


def one_sentence(said):
    lines = said.err.strip().splitlines()
    return lines[-1] if sum(line.startswith('mmseg predict') for line in lines) == 1 else said.err


@pytest.mark.parametrize(('arguments', 'sentence'), [
    (['{folder}/*.gif'], "no file matches '{folder}/*.gif'"),
    (['{empty}'], 'the folder {empty} holds no image'),
    (['{folder}', '--palette', 'no_such_set'], "'no_such_set' is not the name of a data set"),
    (['{folder}', '--palette', '{two}'], 'the palette has 2 colours for 3 classes: give one for each of ground, box, '),
    (['{folder}', '--palette', '{bad}'], 'a palette is a list of colours [red, green, blue] from 0 to 255, found '),
    (['{folder}', '--palette', 'stare'], '2 names of classes are chosen, but the model tells 3 apart'),
    (['{folder}', '--out-dir', '{two}/out'], 'cannot write to the folder {two}/out: Not a directory; choose another'),
])
def test_bad_input_is_one_sentence(model, folder, tmp_path, capsys, monkeypatch, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'empty').mkdir()
    places = dict(folder=str(folder), empty=str(tmp_path / 'empty'), two=str(tmp_path / 'two.json'),
                  bad=str(tmp_path / 'bad.json'))
    Path(places['two']).write_text('[[0, 0, 0], [1, 1, 1]]')
    Path(places['bad']).write_text('[[0, 0, 0], [1, 1, 1], [300, 0, 0]]')
    fill = {'{' + key + '}': value for key, value in places.items()}
    for key, value in fill.items():
        arguments, sentence = [text.replace(key, value) for text in arguments], sentence.replace(key, value)
    assert main(['predict', *model, *arguments]) == 2
    assert one_sentence(capsys.readouterr()).startswith(f'mmseg predict: {sentence}')


def test_colours_may_come_from_a_file(model, folder, expected, tmp_path):
    colors = [[10, 20, 30], [40, 50, 60], [70, 80, 90]]
    (tmp_path / 'colors.json').write_text(json.dumps(dict(zip('abc', colors))))
    (tmp_path / 'classes.txt').write_text('a 10 20 30\nb 40 50 60\nc 70 80 90\n')
    for name in ('colors.json', 'classes.txt'):
        out = tmp_path / name.partition('.')[0]
        assert main(['predict', *model, str(folder / '1.png'), '--out-dir', str(out), '--save', 'colors', '--palette',
                     str(tmp_path / name)]) == 0
        painted = cv2.imread(str(out / 'colors' / '1.png'))[..., ::-1]
        assert np.array_equal(painted, np.array(colors, np.uint8)[expected[1]])


def run_demo(monkeypatch, script, *arguments):
    """Run a script of demo/ in this process and return its exit status."""
    monkeypatch.setattr(sys, 'argv', [script, *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(ROOT / script), run_name='__main__')
    return end.value.code


def test_the_demo_of_videos(model, video, tmp_path, monkeypatch, capsys):
    status = run_demo(
        monkeypatch, 'demo/video_demo.py', video, *model, '--device', 'cpu', '--palette', 'loveda', '--output-file',
        tmp_path / 'out.mp4', '--output-fourcc', 'mp4v', '--output-fps', '4', '--output-height', '96',
        '--output-width', '128', '--opacity', '0.3')
    assert status == 0
    film = cv2.VideoCapture(str(tmp_path / 'out.mp4'))
    assert [film.get(key) for key in (cv2.CAP_PROP_FRAME_COUNT, cv2.CAP_PROP_FPS, cv2.CAP_PROP_FRAME_WIDTH,
                                      cv2.CAP_PROP_FRAME_HEIGHT)] == [6, 4, 128, 96]
    film = tmp_path / 'none.mp4'
    assert run_demo(monkeypatch, 'demo/video_demo.py', film, *model, '--output-file', tmp_path / 'x.mp4') == 2
    assert capsys.readouterr().err.endswith(f'video_demo: cannot read the video {film}: there is no such file\n')
    assert run_demo(monkeypatch, 'demo/video_demo.py', video, *model) == 2
    assert 'give --output-file or --show' in capsys.readouterr().err


def test_the_doors_to_rasters_agree(model, tmp_path, capsys, monkeypatch):
    tifffile = pytest.importorskip('tifffile')
    scene = np.random.default_rng(0).integers(0, 256, (80, 100, 3), dtype=np.uint8)
    tifffile.imwrite(tmp_path / 'scene.tif', scene, photometric='rgb')
    raster = [*model, str(tmp_path / 'scene.tif')]
    assert main(['predict-raster', *raster, '--window', '40', '48', '--stride', '30', '--batch-size', '3', '--device',
                 'cpu']) == 0
    assert capsys.readouterr().out == f'80 rows of 100 pixels labelled: see {tmp_path / "scene_label.tif"}\n'
    status = run_demo(
        monkeypatch, 'demo/rs_image_inference.py', tmp_path / 'scene.tif', *model, '--output-path', tmp_path / 'b.tif',
        '--window-size', '48', '40', '--stride', '30', '30', '--thread', '2', '--device', 'cpu')
    assert status == 0
    first, second = (tifffile.imread(tmp_path / name) for name in ('scene_label.tif', 'b.tif'))
    assert first.shape == (80, 100) and (first == second).mean() > 0.99  # one fuses batch norms in another order
    assert main(['predict-raster', *raster, '--window', '40', '--stride', '50']) == 2
    assert 'longer than the window' in capsys.readouterr().err
