"""Pictures of many bands, and of two dates."""
import cv2
import numpy as np
import pytest
import tifffile

from mmseg.datasets.transforms import ConcatCDInput, LoadMultipleRSImageFromFile, LoadSingleRSImageFromFile


@pytest.mark.parametrize('bands', [1, 3, 4, 8])
@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.float32])
def test_bands_keep_their_order(bands, dtype, tmp_path):
    image = (np.random.default_rng(0).random((12, 15, bands)) * 200).astype(dtype)
    path = str(tmp_path / 'a.tif')
    tifffile.imwrite(path, image, photometric='minisblack', planarconfig='contig' if bands > 1 else None)
    results = LoadSingleRSImageFromFile(to_float32=False)(dict(img_path=path))
    assert results['img'].dtype == dtype
    np.testing.assert_array_equal(results['img'], image)
    assert results['img_shape'] == results['ori_shape'] == (12, 15)
    assert LoadSingleRSImageFromFile()(dict(img_path=path))['img'].dtype == np.float32


def test_colours_are_rgb(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (12, 15, 3), np.uint8)
    cv2.imwrite(str(tmp_path / 'a.png'), image)
    out = LoadSingleRSImageFromFile()(dict(img_path=str(tmp_path / 'a.png')))['img']
    np.testing.assert_array_equal(out, image[..., ::-1])


def test_two_dates_are_stacked(tmp_path):
    paths = {}
    for key, shape in dict(img_path=(12, 15, 3), img_path2=(12, 15, 3), other=(12, 14, 3)).items():
        paths[key] = str(tmp_path / f'{key}.png')
        cv2.imwrite(paths[key], np.full(shape, len(paths), np.uint8))
    results = ConcatCDInput()(LoadMultipleRSImageFromFile()(dict(paths)))
    assert results['img'].shape == (12, 15, 6)
    assert results['img'][0, 0].tolist() == [1, 1, 1, 2, 2, 2]
    assert 'img2' not in results
    with pytest.raises(ValueError, match='expected two pictures of equal size and bands'):
        LoadMultipleRSImageFromFile()(dict(paths, img_path2=paths['other']))
