"""Holes, mosaics, strips of depth; edges."""
import numpy as np
import pytest

from mmseg.datasets.transforms import GenerateEdge, RandomCutOut, RandomDepthMix, RandomMosaic


@pytest.mark.parametrize('options, area', [
    (dict(n_holes=1, cutout_shape=(9, 5)), 45), (dict(n_holes=(1, 1), cutout_ratio=(0.2, 0.1)), 12 * 4)])
def test_holes_are_filled(options, area, make_results):
    results = make_results()
    results['img'][:] = 7
    results['gt_seg_map'][:] = 1
    cut = RandomCutOut(prob=1.0, fill_in=(1, 2, 3), seg_fill_in=200, **options)
    cut.generate_patches = lambda results: (1, [20], [10], [0])
    results = cut(results)
    hole = results['gt_seg_map'] == 200
    assert hole.sum() == area and hole[10, 20] and not hole[9].any() and not hole[:, 19].any()
    assert results['img'][hole].tolist() == [[1, 2, 3]] * area
    assert (results['img'][~hole] == 7).all()


def test_holes_are_as_many_as_drawn_and_end_at_the_border(make_results):
    cut = RandomCutOut(prob=1.0, n_holes=(2, 4), cutout_shape=[(4, 4), (100, 100)])
    counts = {cut.generate_patches(make_results())[0] for _ in range(50)}
    assert counts == {2, 3, 4}
    assert cut(make_results(bands=5))['img'].shape == (47, 61, 5)
    assert cut(make_results(bands=None))['img'].shape == (47, 61)
    before = make_results()
    after = RandomCutOut(prob=0.0, n_holes=1, cutout_shape=(4, 4))(make_results())
    np.testing.assert_array_equal(before['img'], after['img'])


def mosaic_parts(sizes, bands=3):
    for value, (height, width) in enumerate(sizes, 1):
        shape = (height, width, bands) if bands else (height, width)
        yield dict(img=np.full(shape, value, np.uint8), gt_seg_map=np.full((height, width), value, np.uint8),
                   seg_fields=['gt_seg_map'])


@pytest.mark.parametrize('bands', [3, None, 5])
def test_a_mosaic_has_its_parts_around_the_centre(bands):
    results, *others = mosaic_parts([(20, 30), (40, 60), (20, 30), (10, 15)], bands)
    results['mix_results'] = others
    mosaic = RandomMosaic(prob=1.0, img_scale=(20, 30), pad_val=9, seg_pad_val=250)
    mosaic.generate_mosaic_center = lambda: (25, 22)
    results = mosaic(results)
    expected = np.full((40, 60), 250, np.uint8)
    expected[2:22, :25] = 1      # cut off on the left
    expected[2:22, 25:55] = 2    # resized from twice the size
    expected[22:40, :25] = 3     # cut off below
    expected[22:40, 25:55] = 4
    np.testing.assert_array_equal(results['gt_seg_map'], expected)
    image = results['img'] if bands is None else results['img'][..., -1]
    np.testing.assert_array_equal(image, np.where(expected == 250, 9, expected))
    assert results['img_shape'] == results['img'].shape


def test_a_mosaic_draws_the_others_and_the_centre():
    mosaic = RandomMosaic(prob=1.0, img_scale=(100, 200))
    indices = [index for _ in range(50) for index in mosaic.get_indices(range(4))]
    assert len(indices) == 150 and set(indices) == {0, 1, 2, 3}
    x, y = np.array([mosaic.generate_mosaic_center() for _ in range(200)]).T
    assert 100 <= x.min() < 120 and 280 < x.max() < 300 and 50 <= y.min() < 60 and 140 < y.max() < 150


def test_a_mosaic_needs_three_others(make_results):
    with pytest.raises(ValueError, match='found 0 images in mix_results, expected 3: .*MultiImageMixDataset'):
        RandomMosaic(prob=1.0)(make_results())
    assert RandomMosaic(prob=0.0)(make_results())['img'].shape == (47, 61, 3)


def test_a_strip_shows_the_depth(make_results):
    results = make_results()
    results['img'][:] = 200
    results['gt_depth_map'] = np.full((47, 61), 5., np.float32)
    before = results['img']
    out = RandomDepthMix(prob=1.0)(results)['img']
    columns = np.flatnonzero((out == 5).all((0, 2)))
    assert 1 <= len(columns) < 61 and (np.diff(columns) == 1).all()
    assert (np.delete(out, columns, 1) == 200).all()
    assert (before == 200).all(), 'the image that was given is left as it was'
    results['gt_depth_map'] = np.zeros((3, 3))
    with pytest.raises(ValueError, match='a depth map of .3, 3. for an image of .47, 61., expected equal sizes'):
        RandomDepthMix(prob=1.0)(results)


def test_edges_lie_where_classes_meet():
    label = np.zeros((7, 8), np.uint8)
    label[:, 4:] = 1
    results = GenerateEdge(edge_width=1)(dict(gt_seg_map=label))
    assert np.flatnonzero(results['gt_edge_map'].any(0)).tolist() == [3, 4]  # the diagonals mark either side
    assert results['edge_width'] == 1
    wide = GenerateEdge(edge_width=5)(dict(gt_seg_map=label))['gt_edge_map']
    assert np.flatnonzero(wide.all(0)).tolist() == [1, 2, 3, 4, 5, 6]


def test_there_is_no_edge_beside_ignored_pixels():
    label = np.full((6, 9), 2, np.uint8)
    label[:, 3:6] = 255
    label[:, 6:] = 1
    assert not GenerateEdge()(dict(gt_seg_map=label))['gt_edge_map'].any()
    assert GenerateEdge(ignore_index=0)(dict(gt_seg_map=label))['gt_edge_map'].any()
