import numpy as np
import pytest
import torch

from mmseg.apis import RSImage, RSInferencer, inference_model, init_model
from mmseg.utils.errors import InputError

tifffile = pytest.importorskip('tifffile')
SCALE = (33550, 'd', 3, (0.5, 0.5, 0.))
TIE = (33922, 'd', 6, (0., 0., 0., 400000., 5000000., 0.))
CITATION = (34737, 's', 0, 'WGS 84 / UTM zone 33N|')


@pytest.fixture(scope='module')
def picture():
    return np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)


def write(path, picture, **options):
    tifffile.imwrite(path, picture, photometric='rgb', metadata=None,
                     extratags=[(*tag, True) for tag in (SCALE, TIE, CITATION)], **options)
    return RSImage(str(path))


@pytest.fixture(scope='module')
def model(project):
    return init_model(project, str(project.with_suffix('.pth')), 'cpu')


@pytest.mark.parametrize('options', [
    {}, dict(rowsperstrip=16), dict(tile=(32, 16)), dict(tile=(32, 16), compression='zlib'),
    dict(rowsperstrip=8, compression='zlib', predictor=True)])
def test_a_window_is_read_from_strips_and_tiles(tmp_path, picture, options):
    image = write(tmp_path / 'x.tif', picture, **options)
    assert (image.width, image.height, image.channel) == (90, 70, 3)
    for x, y, width, height in ([0, 0, 90, 70], [5, 7, 40, 30], [60, 50, 30, 20], [89, 69, 1, 1]):
        assert np.array_equal(image.read([x, y, width, height]), picture[y:y + height, x:x + width])
    assert np.array_equal(image.read(), picture)


@pytest.mark.parametrize('options', [{}, dict(tile=(32, 32))])
def test_bands_may_be_stored_one_after_the_other(tmp_path, picture, options):
    image = write(tmp_path / 'x.tif', np.moveaxis(picture, -1, 0), planarconfig='separate', **options)
    assert np.array_equal(image.read([10, 20, 50, 40]), picture[20:60, 10:60])


@pytest.mark.parametrize(('window', 'stride'), [
    ((32, 32), (0, 0)), ((32, 32), (24, 16)), ((40, 20), (13, 20)), ((200, 300), (100, 100)), ((90, 70), (0, 0))])
def test_windows_count_every_pixel_once(tmp_path, picture, window, stride):
    image = write(tmp_path / 'x.tif', picture)
    image.create_grids(window, stride)
    counted = np.zeros((70, 90), int)
    for x, y, width, height, crop_x, crop_y, crop_width, crop_height in image.grids:
        assert (width, height) == (min(window[0], 90), min(window[1], 70))
        assert x + width <= 90 and y + height <= 70
        assert 0 <= crop_x <= crop_x + crop_width <= width and 0 <= crop_y <= crop_y + crop_height <= height
        counted[y + crop_y:y + crop_y + crop_height, x + crop_x:x + crop_x + crop_width] += 1
    assert (counted == 1).all()


def test_parts_meet_in_the_middle_of_an_overlap(tmp_path, picture):
    image = write(tmp_path / 'x.tif', picture)
    image.create_grids((60, 70), (30, 70))
    assert image.grids == [[0, 0, 60, 70, 0, 0, 45, 70], [30, 0, 60, 70, 15, 0, 45, 70]]


@pytest.mark.parametrize(('batch_size', 'thread'), [(1, 1), (4, 3)])
def test_a_picture_is_labelled_by_windows_with_its_georeference(tmp_path, picture, model, batch_size, thread):
    image = write(tmp_path / 'scene.tif', picture)
    RSInferencer(model, batch_size, thread).run(image, (40, 48), (24, 32))
    with tifffile.TiffFile(tmp_path / 'scene_label.tif') as file:
        labels, tags = file.asarray(), file.pages[0].tags
        assert tags[33550].value == SCALE[3]
        assert tags[33922].value == TIE[3]
        assert tags[34737].value == CITATION[3]
    assert labels.shape == (70, 90)
    for x, y, width, height, crop_x, crop_y, crop_width, crop_height in image.grids:
        window = np.ascontiguousarray(picture[y:y + height, x:x + width])
        expected = inference_model(model, window).pred_sem_seg.data[0].numpy()
        rows, columns = slice(crop_y, crop_y + crop_height), slice(crop_x, crop_x + crop_width)
        assert np.array_equal(labels[y:, x:][rows, columns], expected[rows, columns])
    assert len(np.unique(labels)) > 1


def test_it_is_built_from_a_config_or_a_model(project, model, tmp_path, picture):
    weights = str(project.with_suffix('.pth'))
    image = write(tmp_path / 'x.tif', picture)
    RSInferencer.from_config_path(str(project), weights, device='cpu').run(
        image, (90, 70), output_path=str(tmp_path / 'a.tif'))
    RSInferencer.from_model(model, weights).run(image, (90, 70), output_path=str(tmp_path / 'b.tif'))
    expected = inference_model(model, picture).pred_sem_seg.data[0].numpy()
    assert np.array_equal(tifffile.imread(tmp_path / 'a.tif'), expected)
    assert np.array_equal(tifffile.imread(tmp_path / 'b.tif'), expected)


@pytest.mark.parametrize('step', ['read', 'network', 'write'])
def test_a_failure_of_any_step_ends_the_run(tmp_path, picture, model, monkeypatch, step):
    image = write(tmp_path / 'x.tif', picture)

    def fail(*args, **kwargs):
        raise ZeroDivisionError
    if step == 'read':
        monkeypatch.setattr(image, 'read', fail)
    elif step == 'network':
        monkeypatch.setattr(torch.nn.Module, '__call__', fail)
    else:
        monkeypatch.setattr(RSImage, 'write', fail)
    with pytest.raises(ZeroDivisionError):
        RSInferencer(model).run(image, (8, 8))


def test_what_cannot_be_used_is_named(tmp_path, picture):
    with pytest.raises(InputError, match=r'none\.tif: No such file'):
        RSImage(tmp_path / 'none.tif')
    (tmp_path / 'text.tif').write_text('text and more')
    with pytest.raises(InputError, match=r'text\.tif: it is no TIFF'):
        RSImage(tmp_path / 'text.tif')
    image = write(tmp_path / 'x.tif', picture)
    with pytest.raises(InputError, match='open for reading'):
        image.write(picture[..., 0])
    with pytest.raises(InputError, match='found 50 and 40'):
        image.create_grids((40, 40), (50, 40))
