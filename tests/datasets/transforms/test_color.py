"""Colours."""
import cv2
import numpy as np
import pytest

from mmseg.datasets.transforms import CLAHE, AdjustGamma, PhotoMetricDistortion, Rerange, RGB2Gray
from tests.datasets.transforms.plain import distort


@pytest.mark.parametrize('seed', range(24))
def test_distortion_equals_its_description(seed, make_results):
    image = make_results(300, 70)['img']
    np.random.seed(seed)
    expected, following = distort(image), np.random.rand()
    np.random.seed(seed)
    results = PhotoMetricDistortion()(dict(img=image))
    np.testing.assert_array_equal(results['img'], expected)
    assert following == np.random.rand(), 'the number of draws differs'


def test_distortion_takes_views_and_leaves_its_input(make_results):
    image = make_results(40, 60)['img']
    before = image.copy()
    for view in (image[:, ::-1], image[5:30, 7:50], image[::2, ::3]):
        outcomes = []
        for pixels in (view, view.copy()):
            np.random.seed(8)
            outcomes.append(PhotoMetricDistortion()(dict(img=pixels))['img'])
        np.testing.assert_array_equal(*outcomes)
    np.testing.assert_array_equal(image, before)


def test_the_single_steps_of_the_distortion(make_results):
    image = make_results()['img']
    distortion = PhotoMetricDistortion(brightness_delta=10)
    np.testing.assert_array_equal(distortion.convert(image, alpha=1.5, beta=-7.3),
                                  np.clip(image.astype(np.float32) * 1.5 - 7.3, 0, 255).astype(np.uint8))
    changed = dict(brightness=0, contrast=0, saturation=0, hue=0)
    for seed in range(20):
        for name in changed:
            np.random.seed(seed)
            changed[name] += not np.array_equal(getattr(distortion, name)(image), image)
    assert all(4 < count < 16 for count in changed.values()), changed


def test_distortion_of_floats_gives_8_bits(make_results):
    image = make_results()['img']
    out = []
    for dtype in (np.uint8, np.float32):
        np.random.seed(1)
        out.append(PhotoMetricDistortion()(dict(img=image.astype(dtype)))['img'])
    assert out[1].dtype == np.uint8
    np.testing.assert_array_equal(*out)


@pytest.mark.parametrize('bands, dtype', [(None, np.uint8), (4, np.uint8), (3, np.uint16)])
def test_distortion_refuses_what_is_not_a_colour_picture(bands, dtype, make_results):
    with pytest.raises(ValueError, match='PhotoMetricDistortion: found an image of .*expected three bands'):
        PhotoMetricDistortion()(make_results(bands=bands, dtype=dtype))


def test_gamma_follows_the_power(make_results):
    image = make_results()['img']
    assert AdjustGamma(1.0)(dict(img=image))['img'].tolist() == image.tolist()
    brighter = AdjustGamma(2.0)(dict(img=image))['img']
    np.testing.assert_allclose(brighter, 255 * np.sqrt(image / 255), atol=1)


@pytest.mark.parametrize('bands', [None, 1, 3, 5])
def test_clahe_equalises_each_band(bands, make_results):
    image = make_results(bands=bands)['img']
    out = CLAHE(clip_limit=5.0, tile_grid_size=(4, 2))(dict(img=image))['img']
    assert out.shape == image.shape
    last = image if image.ndim == 2 else np.ascontiguousarray(image[..., -1])
    expected = cv2.createCLAHE(5.0, (4, 2)).apply(last)
    np.testing.assert_array_equal(out if out.ndim == 2 else out[..., -1], expected)


def test_rerange_reaches_both_ends(make_results):
    out = Rerange(-1, 3)(make_results(dtype=np.float32))['img']
    assert out.min() == -1 and out.max() == pytest.approx(3)
    with pytest.raises(ValueError, match='pixels are all 7'):
        Rerange()(dict(img=np.full((3, 3), 7)))


def test_gray_is_the_weighted_sum():
    image = np.array([[[10, 20, 30]]], np.uint8)
    out = RGB2Gray(out_channels=2, weights=(1, 0.5, 0))(dict(img=image))
    assert out['img'].tolist() == [[[20, 20]]]
    assert out['img_shape'] == (1, 1, 2)
    with pytest.raises(ValueError, match='one weight for each band'):
        RGB2Gray()(dict(img=image[..., :2]))
