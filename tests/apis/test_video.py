import shutil

import cv2
import mmcv
import numpy as np
import pytest

from mmseg.apis import MMSegInferencer, inference_model, init_model
from mmseg.apis.sources import Picture, count, expand, pictures
from mmseg.apis.video import VideoSink, VideoSource
from mmseg.utils.errors import InputError
from tests.cli.tiny import PALETTE


def frame(number, height=48, width=64):
    return np.full((height, width, 3), 30 * number + 20, np.uint8)


@pytest.fixture
def video(tmp_path):
    sink = VideoSink(tmp_path / 'a.avi', 8., 'MJPG')
    for number in range(5):
        sink.write(frame(number))
    sink.close()
    return tmp_path / 'a.avi'


def test_frames_come_in_order_with_what_the_file_says(video):
    source = VideoSource(video)
    assert (source.name, source.fps, source.width, source.height, source.frames) == ('a', 8., 64, 48, 5)
    assert [round(float(picture.mean()) / 10) for picture in source] == [2, 5, 8, 11, 14]


@pytest.mark.parametrize(('content', 'message'), [
    (None, 'there is no such file'), (b'no video', 'OpenCV finds no video in it')])
def test_what_is_no_video_is_told(tmp_path, content, message):
    if content:
        (tmp_path / 'x.mp4').write_bytes(content)
    with pytest.raises(InputError, match=message):
        VideoSource(tmp_path / 'x.mp4')


def test_a_video_without_frames_is_told(video, monkeypatch):
    source = VideoSource(video)
    list(source)
    with pytest.raises(InputError, match=r'a\.avi holds no frame'):
        list(source)  # all have been read


def test_a_video_that_ends_too_early_warns(video):
    source = VideoSource(video)
    source.frames = 100
    with pytest.warns(UserWarning, match='ends after 5 of 100 frames'):
        assert len(list(source)) == 5


@pytest.mark.parametrize(('name', 'options', 'message'), [
    ('x.mp4', dict(fourcc='no'), 'four letters'), ('x.mp4', dict(fourcc='QQQQ'), 'with the codec QQQQ'),
    ('file/x.mp4', {}, 'cannot write the video')])
def test_a_video_that_cannot_be_written_is_told(tmp_path, name, options, message):
    (tmp_path / 'file').touch()
    with pytest.raises(InputError, match=message):
        VideoSink(tmp_path / name, **options).write(frame(1))


FFMPEG = '''#!/bin/sh
for last; do :; done
echo "$@" > "$last.arguments"
wc -c > "$last"
{end}
'''


def fake_ffmpeg(folder, monkeypatch, end=''):
    """A program that counts the bytes which it is given, in place of ffmpeg."""
    (folder / 'bin').mkdir()
    (folder / 'bin' / 'ffmpeg').write_text(FFMPEG.replace('{end}', end))
    (folder / 'bin' / 'ffmpeg').chmod(0o755)
    monkeypatch.setenv('PATH', f'{folder / "bin"}:/usr/bin:/bin')


@pytest.mark.skipif(shutil.which('sh') is None, reason='a shell script stands for ffmpeg')
def test_ffmpeg_writes_where_it_is_installed(tmp_path, monkeypatch):
    fake_ffmpeg(tmp_path, monkeypatch)
    sink = VideoSink(tmp_path / 'x.mp4', 12.5, size=(32, 20))
    for number in range(3):
        sink.write(frame(number))
    sink.close()
    assert int((tmp_path / 'x.mp4').read_text()) == 3 * 20 * 32 * 3
    arguments = (tmp_path / 'x.mp4.arguments').read_text()
    assert '-s 32x20 -r 12.5' in arguments and 'bgr24' in arguments


@pytest.mark.skipif(shutil.which('sh') is None, reason='a shell script stands for ffmpeg')
def test_what_ffmpeg_says_is_told(tmp_path, monkeypatch):
    fake_ffmpeg(tmp_path, monkeypatch, 'echo "no such codec" >&2\nexit 1')
    sink = VideoSink(tmp_path / 'x.mp4')
    sink.write(frame(0))
    with pytest.raises(InputError, match=r'ffmpeg cannot write the video .*x\.mp4: no such codec'):
        sink.close()


def test_sources_become_pictures_with_names_of_their_own(tmp_path, video):
    for folder in ('p', 'q'):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / 'a.png'), frame(1))
    shutil.copy(video, tmp_path / 'p' / 'v.avi')
    listed = expand([str(tmp_path / 'p'), str(tmp_path / 'q' / '*.png'), frame(2)])
    assert count(listed) == 1 + 5 + 1 + 1
    made = list(pictures(listed))
    assert [picture.name for picture in made] == ['a', *(f'v/{number:08d}' for number in range(5)), 'a_2', '']
    assert Picture.of(made[0]) is made[0]
    assert count(iter(listed)) is None


def test_anything_that_yields_images_is_streamed(project, video):
    inferencer = MMSegInferencer(str(project), str(project.with_suffix('.pth')), device='cpu')
    drawn = []

    def frames():
        for number in range(4):
            drawn.append(number)
            yield frame(number)
    results = inferencer.stream(frames())
    assert next(results)['predictions'].shape == (48, 64)
    assert drawn == [0]  # no more than was asked for is held
    assert len(list(results)) == 3
    inferencer.show_progress = False
    whole = inferencer(str(video), extras=['confidence', 'probabilities'])
    assert len(whole['predictions']) == 5
    assert whole['probabilities'][0].shape == (3, 48, 64)
    assert np.allclose(whole['confidence'][0], whole['probabilities'][0].max(0))
    assert inferencer([]) == dict(predictions=[], visualization=[])
    unreadable = []
    inferencer(['none.png'], on_error=lambda image, error: unreadable.append((image, str(error))))
    assert unreadable == [('none.png', 'cannot read the image none.png: No such file or directory')]
    with pytest.raises(InputError, match='extras may be colors, probabilities, confidence, found colours'):
        inferencer(frame(0), extras=['colours'])


def test_a_model_shows_its_results_as_in_0x(project, video, tmp_path):
    model = init_model(str(project), str(project.with_suffix('.pth')), device='cpu')
    for picture in mmcv.VideoReader(str(video)):
        result = inference_model(model, picture)
        shown = model.show_result(picture, result, out_file=str(tmp_path / 'shown.png'), opacity=1.)
    labels = result.pred_sem_seg.data[0].numpy()
    expected = np.array(PALETTE, np.uint8)[labels][..., ::-1]
    assert np.array_equal(shown, expected)
    assert np.array_equal(cv2.imread(str(tmp_path / 'shown.png')), expected)
    assert np.array_equal(model.show_result(picture, [labels], opacity=0.), picture)
    black = model.show_result(str(tmp_path / 'shown.png'), labels, palette=[[0, 0, 0]] * 3, opacity=1.)
    assert not black.any()
