"""Resizing, cropping, flipping, rotating."""
import mmcv.transforms
import numpy as np
import pytest
from mmcv.transforms.utils import cache_random_params

from mmseg.datasets.transforms import (
    Pad,
    RandomCrop,
    RandomFlip,
    RandomRotate,
    RandomRotFlip,
    Resize,
    ResizeShortestEdge,
    ResizeToMultiple,
    SegRescale,
)
from mmseg.datasets.transforms.geometric import is_mixed


def test_resize_takes_all_labels_along(make_results):
    results = make_results()
    results['gt_depth_map'] = np.full((47, 61), 2.5, np.float32)
    results['seg_fields'].append('gt_depth_map')
    results = Resize(scale=(122, 94))(results)
    assert results['gt_depth_map'].shape == results['gt_seg_map'].shape == results['img_shape'] == (94, 122)
    assert results['scale_factor'] == (2, 2)
    np.testing.assert_array_equal(results['gt_seg_map'], make_results()['gt_seg_map'].repeat(2, 0).repeat(2, 1))


@pytest.mark.parametrize('bands', [None, 1, 3, 4, 7])
def test_resize_keeps_the_bands(bands, make_results):
    assert Resize(scale=(30, 20))(make_results(bands=bands))['img'].shape == ((20, 30, bands) if bands else (20, 30))


@pytest.mark.parametrize('shape, size', [((47, 61), (60, 78)), ((61, 47), (78, 60)), ((20, 200), (10, 100)),
                                         ((60, 60), (60, 60))])
def test_shortest_edge(shape, size, make_results):
    assert ResizeShortestEdge(60, 100)(make_results(*shape))['img_shape'] == size


@pytest.mark.parametrize('divisor, size', [(32, (64, 64)), ((16, 20), (60, 64)), (47, (47, 94))])
def test_resize_to_multiple(divisor, size, make_results):
    results = ResizeToMultiple(divisor)(make_results())
    assert results['img'].shape[:2] == results['gt_seg_map'].shape == size
    assert results['pad_shape'] == results['img_shape'] == size
    assert set(np.unique(results['gt_seg_map'])) <= {0, 1, 2, 3, 4, 5, 255}


def test_seg_rescale_changes_the_labels_alone(make_results):
    results = SegRescale(0.5)(make_results())
    assert results['gt_seg_map'].shape == (24, 31)
    assert results['img'].shape == (47, 61, 3)


@pytest.mark.parametrize('bands', [None, 1, 3, 4, 9])
def test_padding_takes_any_number_of_bands(bands, make_results):
    image = make_results(bands=bands)['img']
    results = Pad(size=(70, 50), pad_val=dict(img=3, seg=254))(make_results(bands=bands))
    assert results['img'].shape == results['pad_shape'] == (50, 70, *image.shape[2:])
    assert results['img_shape'] == results['gt_seg_map'].shape == (50, 70)
    np.testing.assert_array_equal(results['img'][:47, :61], image)
    assert (results['img'][47:] == 3).all() and (results['gt_seg_map'][:, 61:] == 254).all()


# ---------------------------------------------------------------------- crop

@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.int64])
def test_is_mixed_agrees_with_counting_everything(dtype):
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(200):
        shares = rng.dirichlet(np.full(rng.integers(1, 6), 0.4))
        label = rng.choice([*range(len(shares) - 1), 255], (40, 50), p=shares).astype(dtype)
        # a class that a sparse sample of the pixels misses
        label[1:1 + rng.integers(0, 39), 1:1 + rng.integers(0, 49)] = 7
        most = rng.choice([0.3, 0.5, 0.75, 1.0])
        classes, counts = np.unique(label, return_counts=True)
        counts = counts[classes != 255]
        expected = len(counts) > 1 and counts.max() / counts.sum() < most
        assert is_mixed(label, most, 255) == expected
        seen.add(expected)
    assert seen == {True, False}


@pytest.mark.parametrize('label, mixed', [
    (np.full((20, 20), 255), False),           # everything ignored
    (np.zeros((20, 20)), False),               # one class
    (np.kron([[0, 1], [255, 255]], np.ones((9, 9))), True),
    (np.kron([[0, 0], [0, 1]], np.ones((9, 9))), False),  # exactly three quarters
])
def test_is_mixed_at_the_limits(label, mixed):
    assert is_mixed(label.astype(np.uint8), 0.75, 255) is mixed


def test_classes_that_the_sample_misses_are_counted():
    label = np.full((32, 32), 3, np.uint8)
    label[::16, ::16] = 1
    assert not is_mixed(label, 0.75, 255)
    assert is_mixed(np.where(np.arange(32) % 2, label, 4).astype(np.uint8), 0.75, 255)


def test_a_crop_takes_the_same_window_of_image_and_label(make_results):
    results = make_results(40, 50)
    place = np.arange(40 * 50).reshape(40, 50)
    results['img'], results['gt_seg_map'] = place.astype(np.uint16), place.astype(np.uint16)
    results = RandomCrop((12, 9))(results)
    assert results['img'].shape == results['img_shape'] == (12, 9)
    np.testing.assert_array_equal(results['img'], results['gt_seg_map'])
    top, left = divmod(int(results['img'][0, 0]), 50)
    np.testing.assert_array_equal(results['img'], place[top:top + 12, left:left + 9])


@pytest.mark.parametrize('size', [(100, 100), (20, 100), (100, 20)])
def test_a_window_larger_than_the_image_takes_what_there_is(size, make_results):
    results = RandomCrop(size)(make_results())
    assert results['img'].shape[:2] == results['gt_seg_map'].shape == (min(size[0], 47), min(size[1], 61))


def test_a_crop_is_drawn_again_while_one_class_fills_it():
    label = np.zeros((10, 100), np.uint8)
    label[:, ::2] = 1
    label[:, :90] = 0
    windows = []
    crop = RandomCrop((10, 5), cat_max_ratio=0.75)
    crop._draw_window = lambda height, width: windows.append(1) or (0, 10, 5 * len(windows), 5 * len(windows) + 5)
    assert crop.crop_bbox(dict(img=label, gt_seg_map=label)) == (0, 10, 55, 60)  # ten tests, then the next, untested
    assert len(windows) == 11
    windows[:] = [1] * 17
    assert crop.crop_bbox(dict(img=label, gt_seg_map=label)) == (0, 10, 90, 95)


def test_a_crop_without_labels_is_drawn_once(make_results):
    results = make_results()
    del results['gt_seg_map']
    results['seg_fields'] = []
    assert RandomCrop(8, cat_max_ratio=0.5)(results)['img'].shape == (8, 8, 3)


def test_random_parameters_can_be_kept(make_results):
    crop = RandomCrop(8)
    with cache_random_params(crop):
        first, second = (crop(make_results())['img'] for _ in range(2))
    np.testing.assert_array_equal(first, second)


# ---------------------------------------------------------------------- flip and rotate

@pytest.mark.parametrize('options', [
    dict(prob=0.5), dict(prob=0.3, direction='vertical'), dict(prob=0.7, direction=['horizontal', 'diagonal']),
    dict(prob=[0.2, 0.3, 0.4], direction=['horizontal', 'vertical', 'diagonal']), dict(prob=1.0), dict(prob=0.0)])
def test_flips_are_drawn_as_mmcv_draws_them(options):
    draws = []
    for flip in (RandomFlip(**options), mmcv.transforms.RandomFlip(**options)):
        np.random.seed(5)
        draws.append([flip._choose_direction() for _ in range(200)])
    assert draws[0] == draws[1]


def test_flipping_swaps_labels_and_boxes(make_results):
    results = make_results(4, 6)
    results['gt_seg_map'] = np.array([[1, 2, 3, 4, 0, 255]] * 4, np.uint8)
    results['gt_bboxes'] = np.array([[0., 0., 2., 4.]])
    image = results['img']
    results = RandomFlip(prob=1.0, swap_seg_labels=[(1, 2), (3, 4)])(results)
    assert results['gt_seg_map'][0].tolist() == [255, 0, 3, 4, 1, 2]
    assert results['gt_bboxes'].tolist() == [[4, 0, 6, 4]]
    np.testing.assert_array_equal(results['img'], image[:, ::-1])
    assert (results['flip'], results['flip_direction']) == (True, 'horizontal')
    assert results['swap_seg_labels'] == [(1, 2), (3, 4)]


@pytest.mark.parametrize('bands', [None, 1, 3, 6])
def test_rotation_takes_any_number_of_bands(bands, make_results):
    results = RandomRotate(1, (90, 90), auto_bound=True)(make_results(bands=bands))
    assert results['img'].shape == ((61, 47, bands) if bands else (61, 47))
    assert results['img_shape'] == results['gt_seg_map'].shape == (61, 47)
    np.testing.assert_array_equal(results['gt_seg_map'], np.rot90(make_results()['gt_seg_map'], -1))


def test_rotation_draws_the_angle_in_any_case():
    rotate = RandomRotate(0.0, 30)
    np.random.seed(3)
    assert rotate.generate_degree()[0] == False  # noqa: E712  (NumPy's own)
    after = np.random.rand()
    np.random.seed(3)
    np.random.rand(2)
    assert after == np.random.rand()


def test_rot_flip_turns_or_rotates_but_not_both(make_results):
    turned = RandomRotFlip(rotate_prob=0, flip_prob=1)(make_results())
    assert sorted(turned['img'].ravel()) == sorted(make_results()['img'].ravel())
    assert turned['img'].shape[:2] == turned['gt_seg_map'].shape == turned['img_shape']
    rotated = RandomRotFlip(rotate_prob=1, flip_prob=1, degree=(45, 45))(make_results())
    assert rotated['img'].shape == (47, 61, 3)
    assert not rotated['img'][0, 0].any()
    assert rotated['gt_seg_map'][0, 0] == 0
