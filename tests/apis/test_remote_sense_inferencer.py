import copy
import json
import shutil

import numpy as np
import pytest
import torch

from mmseg.apis import RSImage, RSInferencer, inference_model, init_model
from mmseg.apis.blending import Blender, axis_weights, even_starts
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


def blended(model, picture, image):
    """Labels by the mean of all windows' logits, weighted by the distance to the window's border, at once in memory."""
    total = np.zeros((3, image.height, image.width))
    for x, y, width, height, *_ in image.grids:
        window = np.ascontiguousarray(picture[y:y + height, x:x + width, ::-1])  # blue first, as the loader gives it
        logits = inference_model(model, window).seg_logits.data.numpy()
        down, across = (1 + np.minimum(np.arange(side), np.arange(side)[::-1]) for side in (height, width))
        total[:, y:y + height, x:x + width] += logits * (down[:, None] * across)
        # The sums of the weights are the same for all classes.
    return total.argmax(0)


@pytest.mark.parametrize(('batch_size', 'thread', 'window', 'stride'), [
    (1, 1, (40, 48), (24, 32)), (4, 3, (40, 48), (24, 32)), (3, 2, (40, 40), (12, 12)), (2, 1, (32, 24), (0, 0)),
    (2, 1, (200, 300), (100, 100))])
def test_a_raster_is_labelled_by_blended_windows_with_its_georeference(tmp_path, picture, model, batch_size, thread,
                                                                       window, stride):
    image = write(tmp_path / 'scene.tif', picture)
    RSInferencer(model, batch_size, thread).run(image, window, stride)
    with tifffile.TiffFile(tmp_path / 'scene_label.tif') as file:
        labels, tags = file.asarray(), file.pages[0].tags
        assert tags[33550].value == SCALE[3]
        assert tags[33922].value == TIE[3]
        assert tags[34737].value == CITATION[3]
    assert labels.dtype == np.uint8 and len(np.unique(labels)) > 1
    assert (labels == blended(model, picture, image)).mean() > 0.999  # logits may tie within rounding
    assert not (tmp_path / 'scene_label.tif.journal').exists()


def test_labels_do_not_depend_on_the_batch_and_steps_may_be_called_one_by_one(tmp_path, picture, model):
    image, files = write(tmp_path / 'scene.tif', picture), []
    for batch_size in (1, 5):
        inferencer = RSInferencer(model, batch_size)
        inferencer.read(image, (40, 48), (24, 32))
        inferencer.inference()
        files.append(tmp_path / f'{batch_size}.tif')
        inferencer.write(image, files[-1])
    first, second = map(tifffile.imread, files)
    assert np.array_equal(first, second)


class Stop(Exception):
    pass


@pytest.mark.parametrize('stride', [(24, 10), (0, 0)])
def test_a_run_that_was_stopped_goes_on(tmp_path, picture, model, stride):
    image = write(tmp_path / 'scene.tif', picture)
    RSInferencer(model).run(image, (40, 20), stride, tmp_path / 'through.tif')
    output = tmp_path / 'stopped.tif'

    def stop(rows, total):
        assert total == 70
        if rows > 30:
            raise Stop
    with pytest.raises(Stop):
        RSInferencer(model).run(image, (40, 20), stride, output, progress=stop)
    noted = json.loads((tmp_path / 'stopped.tif.journal').read_text())['rows']
    assert 30 < noted < 70
    rows = []
    assert RSInferencer(model).run(image, (40, 20), stride, output, progress=lambda row, _: rows.append(row)) == noted
    assert rows[0] == noted and rows[-1] == 70
    assert output.read_bytes() == (tmp_path / 'through.tif').read_bytes()


@pytest.mark.parametrize('change', ['weights', 'windows', 'raster', 'bands', 'restart', 'output'])
def test_nothing_is_kept_of_another_job(tmp_path, picture, model, change):
    image, output = write(tmp_path / 'scene.tif', picture), tmp_path / 'labels.tif'
    inferencer, window = RSInferencer(copy.deepcopy(model)), (40, 20)

    def stop(rows, _):
        if rows:
            raise Stop
    with pytest.raises(Stop):
        inferencer.run(image, window, output_path=output, progress=stop)
    if change == 'weights':
        torch.nn.init.zeros_(inferencer.model.decode_head.conv_seg.bias).data += 1
    elif change == 'windows':
        window = (40, 10)
    elif change == 'raster':
        image = write(tmp_path / 'scene.tif', picture[::-1])
    elif change == 'bands':
        inferencer.bands = (1, 2, 3)
    elif change == 'output':
        output.unlink()
    assert inferencer.run(image, window, output_path=output, resume=change != 'restart') == 0


@pytest.mark.parametrize(('bands', 'loader', 'expected'), [
    (None, 'LoadImageFromFile', [2, 1, 0]), ((1, 2, 3), 'LoadImageFromFile', [0, 1, 2]),
    (None, 'LoadSingleRSImageFromFile', [0, 1, 2]), ((4, 1, 1), 'LoadImageFromFile', [3, 0, 0])])
def test_bands_come_as_the_loader_of_the_config_gives_them(tmp_path, model, bands, loader, expected):
    count = max(expected) + 1
    pixels = np.random.default_rng(1).integers(0, 256, (40, 50, count), dtype=np.uint8)
    image, inferencer = write(tmp_path / 'x.tif', pixels), RSInferencer(copy.deepcopy(model), bands=bands)
    inferencer.model.cfg.test_pipeline[0].type = loader
    inferencer.read(image, (40, 40))
    (_, *_), window = next(iter(inferencer.read_buffer))
    assert np.array_equal(window, pixels[:40, :40, expected])


def test_one_band_is_repeated_for_a_network_of_colours(tmp_path, model):
    pixels = np.random.default_rng(1).integers(0, 256, (40, 50), dtype=np.uint8)
    tifffile.imwrite(tmp_path / 'x.tif', pixels)
    inferencer = RSInferencer(model)
    inferencer.read(RSImage(tmp_path / 'x.tif'), (50, 40))
    assert np.array_equal(next(iter(inferencer.read_buffer))[1], np.stack([pixels] * 3, axis=-1))


def test_a_window_of_plain_strips_costs_no_byte_more(tmp_path, picture, monkeypatch):
    image, read = write(tmp_path / 'x.tif', picture, rowsperstrip=70), []
    original = image.source._bytes
    monkeypatch.setattr(image.source, '_bytes', lambda offset, count: read.append(count) or original(offset, count))
    assert np.array_equal(image.read([10, 20, 30, 25]), picture[20:45, 10:40])
    assert sum(read) == 30 * 25 * 3


def test_bytes_of_either_order_are_read(tmp_path):
    levels = np.arange(2000, dtype=np.uint16).reshape(40, 50)
    for order in '<>':
        tifffile.imwrite(tmp_path / 'x.tif', levels, byteorder=order, photometric='minisblack')
        assert np.array_equal(RSImage(tmp_path / 'x.tif').read([3, 5, 20, 30])[..., 0], levels[5:35, 3:23])


def test_one_channel_is_compared_with_the_threshold():
    logits = torch.linspace(-3, 3, 48).view(1, 6, 8)
    blender = Blender((even_starts(6, 4, 2), even_starts(8, 8, 8)), (4, 8), (6, 8), threshold=0.7)
    (first, upper), (second, lower) = blender.strips([((0, 0), logits[:, :4]), ((2, 0), logits[:, 2:])])
    assert (first, second) == (0, 2)
    assert np.array_equal(np.concatenate([upper, lower]), (logits[0].sigmoid() > 0.7).numpy())


@pytest.mark.parametrize(('length', 'window', 'stride'), [
    (90, 40, 24), (90, 40, 7), (90, 40, 40), (30, 40, 10), (9, 3, 2)])
def test_weights_sum_to_one_and_fall_to_the_ends(length, window, stride):
    starts, window = even_starts(length, window, stride), min(window, length)
    assert max(np.diff(starts), default=0) <= stride
    total = torch.zeros(length)
    for start, weights in zip(starts, axis_weights(starts, window, length)):
        assert weights.min() > 0
        total[start:start + window] += weights
    assert torch.allclose(total, torch.ones(length))
    if len(starts) > 1:
        shared = starts[0] + window - starts[1]
        first = axis_weights(starts, window, length)[0]
        assert (first[window - shared:].diff() < 0).all()


def test_it_is_built_from_a_config_or_a_model(project, model, tmp_path, picture):
    weights = str(project.with_suffix('.pth'))
    image = write(tmp_path / 'x.tif', picture)
    RSInferencer.from_config_path(str(project), weights, device='cpu').run(
        image, (90, 70), output_path=str(tmp_path / 'a.tif'))
    RSInferencer.from_model(model, weights).run(image, (90, 70), output_path=str(tmp_path / 'b.tif'))
    expected = inference_model(model, picture[..., ::-1].copy()).pred_sem_seg.data[0].numpy()
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
    with pytest.raises(InputError, match=r'cannot read the raster .*text\.tif'):
        RSImage(tmp_path / 'text.tif')
    image = write(tmp_path / 'x.tif', picture)
    with pytest.raises(InputError, match='open for reading'):
        image.write(picture[..., 0])
    with pytest.raises(InputError, match='found 50 and 40'):
        image.create_grids((40, 40), (50, 40))


def test_where_labels_cannot_go_is_said(tmp_path, picture, model, monkeypatch):
    image = write(tmp_path / 'x.tif', picture)
    with pytest.raises(InputError, match='would overwrite the raster'):
        RSInferencer(model).run(image, (40, 40), output_path=tmp_path / 'x.tif')
    (tmp_path / 'file').touch()
    with pytest.raises(InputError, match='cannot write the raster'):
        image.create_seg_map(tmp_path / 'file' / 'labels.tif')
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: shutil._ntuple_diskusage(100, 50, 50))
    with pytest.raises(InputError, match='takes 6,300 bytes and 50 are free'):
        image.create_seg_map(tmp_path / 'y.tif')


def test_bands_that_do_not_fit_are_told(tmp_path, model):
    tifffile.imwrite(tmp_path / 'x.tif', np.zeros((40, 50, 5), np.uint8), photometric='minisblack',
                     planarconfig='contig')
    image = RSImage(tmp_path / 'x.tif')
    with pytest.raises(InputError, match=r'has 5 bands, the network takes 3, and the bands \[1, 2, 3, 4, 5\]'):
        RSInferencer(model).run(image, (40, 40))
    with pytest.raises(InputError, match=r'the bands \[1, 2, 6\]'):
        RSInferencer(model, bands=(1, 2, 6)).run(image, (40, 40))


def test_pieces_that_are_too_large_to_decode_alone_are_refused(tmp_path, picture, monkeypatch):
    monkeypatch.setattr('mmseg.apis.raster_files.CACHED_BYTES', 1000)
    with pytest.raises(InputError, match='no window of it can be read alone'):
        write(tmp_path / 'x.tif', picture, rowsperstrip=70, compression='zlib')


def test_rasterio_reads_and_writes_what_tifffile_cannot(tmp_path, picture, model):
    rasterio = pytest.importorskip('rasterio')
    place = rasterio.Affine(0.5, 0, 400000, 0, -0.5, 5000000)
    with rasterio.open(tmp_path / 'scene.img', 'w', driver='HFA', width=90, height=70, count=3, dtype=np.uint8,
                       transform=place) as file:
        file.write(np.moveaxis(picture, -1, 0))
    image = RSImage(tmp_path / 'scene.img')
    assert type(image.source).__name__ == 'RasterioSource'
    assert np.array_equal(image.read([10, 20, 30, 25]), picture[20:45, 10:40])
    plain = write(tmp_path / 'plain.tif', picture)
    RSInferencer(model, bands=(1, 2, 3)).run(image, (40, 48), (24, 32), tmp_path / 'labels.tif')
    RSInferencer(model, bands=(1, 2, 3)).run(plain, (40, 48), (24, 32), tmp_path / 'expected.tif')
    assert np.array_equal(tifffile.imread(tmp_path / 'labels.tif'), tifffile.imread(tmp_path / 'expected.tif'))
    with rasterio.open(tmp_path / 'labels.tif') as file:
        assert file.transform == place
