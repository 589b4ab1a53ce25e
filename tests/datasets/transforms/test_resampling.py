"""Windows of a resize that never took place, and arrays of types and bands that OpenCV does not take at once."""
import cv2
import numpy as np
import pytest

from mmseg.datasets.transforms.resampling import (
    PendingResize,
    _nearest_indices,
    by_bands,
    flip_array,
    resize_array,
)

SIZES = [(97, 65), (150, 101), (204, 130), (61, 47), (33, 25), (122, 94), (13, 200)]


def windows(width, height, count=4):
    rng = np.random.default_rng(width * height)
    for _ in range(count):
        top, left = rng.integers(0, height), rng.integers(0, width)
        yield slice(top, top + rng.integers(1, height + 9)), slice(left, left + rng.integers(1, width + 9))


@pytest.mark.parametrize('interpolation', ['bilinear', 'bicubic', 'area', 'lanczos', 'nearest'])
@pytest.mark.parametrize('bands, dtype', [(3, np.uint8), (1, np.uint8), (4, np.uint16), (None, np.float32)])
def test_a_window_holds_the_pixels_of_the_whole(interpolation, bands, dtype, make_results):
    image = make_results(bands=bands, dtype=dtype)['img']
    for size in SIZES:
        whole = resize_array(image, size, interpolation)
        pending = resize_array(PendingResize(image), size, interpolation)
        assert pending.shape == whole.shape
        # Fractions are summed in another order near the right edge of what is computed.
        rounding = 1e-4 if dtype == np.float32 else 0
        for rows, columns in windows(*size):
            np.testing.assert_allclose(pending[rows, columns], whole[rows, columns], rtol=0, atol=rounding)


def test_a_window_of_a_large_picture_holds_the_pixels_of_the_whole():
    image = np.random.default_rng(0).integers(0, 256, (256, 512, 3), np.uint8)
    for width in (513, 700, 901, 1024, 333):
        size = (width, width // 2 + 1)
        window = slice(3, size[1] - 40), slice(5, width - 90)  # nearer to the first corner
        pending = PendingResize(image).resized(size, 'bilinear', 'cv2')
        np.testing.assert_array_equal(pending[window], cv2.resize(image, size)[window])


@pytest.mark.parametrize('rows', [slice(0, 100), slice(-100, None), slice(-160, -20)])
@pytest.mark.parametrize('columns', [slice(0, 130), slice(-132, -2), slice(-300, -170)])
def test_a_window_at_a_far_corner_differs_by_a_level_here_and_there(rows, columns):
    image = np.random.default_rng(0).integers(0, 256, (256, 512, 3), np.uint8)
    for width in (700, 901, 1023):
        whole = cv2.resize(image, (width, width // 2 + 1))
        pending = PendingResize(image).resized((width, width // 2 + 1), 'bilinear', 'cv2')
        difference = cv2.absdiff(pending[rows, columns], whole[rows, columns])
        assert difference.max(initial=0) <= 1 and (difference > 0).mean() < 0.005


def test_what_lies_beyond_a_window_is_not_computed(monkeypatch):
    areas, resize = [], cv2.resize

    def counting(*args, **kwargs):
        out = resize(*args, **kwargs)
        areas.append(out.size)
        return out

    monkeypatch.setattr(cv2, 'resize', counting)
    pending = PendingResize(np.zeros((100, 200), np.uint8)).resized((800, 400), 'bilinear', 'cv2')
    assert pending[20:60, 30:130].shape == (40, 100)
    assert pending[20:60, 30:130] is pending[20:60, 30:130]
    assert len(areas) == 1 and areas[0] < 90 * 160


def test_nearest_indices_are_those_of_opencv():
    for length in (7, 64, 101):
        ramp = np.arange(length, dtype=np.uint8)[None]
        for new_length in range(1, 260):
            expected = cv2.resize(ramp, (new_length, 1), interpolation=cv2.INTER_NEAREST)[0]
            np.testing.assert_array_equal(_nearest_indices(length, new_length), expected)


def test_a_second_resize_works_on_the_pixels_of_the_first(make_results):
    image = make_results()['img']
    twice = resize_array(resize_array(PendingResize(image), (90, 70), 'bilinear'), (50, 40), 'bilinear')
    np.testing.assert_array_equal(twice, cv2.resize(cv2.resize(image, (90, 70)), (50, 40)))


def test_another_backend_is_not_put_off(make_results):
    image = make_results()['img']
    np.testing.assert_array_equal(resize_array(PendingResize(image), (90, 70), 'bilinear', 'pillow'),
                                  resize_array(image, (90, 70), 'bilinear', 'pillow'))


@pytest.mark.parametrize('dtype', [np.int64, np.uint32, np.uint16, np.int32])
def test_large_ids_survive_resizing_and_flipping(dtype):
    label = np.array([[0, 70_000 if np.iinfo(dtype).max > 70_000 else 60_000], [300, 255]], dtype)
    larger = resize_array(label, (4, 4), 'nearest')
    assert larger.dtype == dtype
    np.testing.assert_array_equal(larger, label.repeat(2, 0).repeat(2, 1))
    flipped = flip_array(label, 'horizontal')
    assert flipped.dtype == dtype
    np.testing.assert_array_equal(flipped, label[:, ::-1])


@pytest.mark.parametrize('direction, expected', [('horizontal', [[2, 1], [4, 3]]), ('vertical', [[3, 4], [1, 2]]),
                                                 ('diagonal', [[4, 3], [2, 1]])])
@pytest.mark.parametrize('bands', [None, 1, 3, 7])
def test_flips(direction, expected, bands):
    array = np.array([[1, 2], [3, 4]], np.uint8)
    expected = np.array(expected, np.uint8)
    if bands:
        array, expected = (np.repeat(a[..., None], bands, 2) for a in (array, expected))
    flipped = flip_array(array, direction)
    np.testing.assert_array_equal(flipped, expected)
    assert flipped.flags.c_contiguous


@pytest.mark.parametrize('bands', [None, 1, 4, 5, 9])
def test_bands_are_taken_four_at_a_time(bands, make_results):
    image = make_results(bands=bands)['img']
    seen = []

    def half(part):
        seen.append(part.shape[2] if part.ndim == 3 else 0)
        return cv2.resize(part, (30, 20))

    assert by_bands(half, image).shape == (20, 30, *image.shape[2:])
    assert seen == {None: [0], 1: [1], 4: [4], 5: [4, 1], 9: [4, 4, 1]}[bands]
