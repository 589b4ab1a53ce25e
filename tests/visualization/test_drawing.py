import time

import cv2
import numpy as np
import pytest

from mmseg.utils.errors import InputError
from mmseg.visualization import drawing
from mmseg.visualization.files import read_image, write_image

PALETTE = [[255, 0, 0], [0, 255, 0], [10, 20, 30]]


@pytest.mark.parametrize('dtype', ['uint8', 'int64', 'float32'])
def test_labels_get_their_colours_and_ignored_pixels_are_black(dtype):
    labels = np.array([[0, 1], [2, 255]]).astype(dtype)
    assert drawing.color_labels(labels, PALETTE).tolist() == [[[255, 0, 0], [0, 255, 0]], [[10, 20, 30], [0, 0, 0]]]


def test_an_overlay_mixes_image_and_colours():
    image = np.full((1, 2, 3), 100, np.uint8)
    mixed = drawing.overlay_labels(image, np.array([[0, 255]]), PALETTE, alpha=0.8)
    assert mixed.tolist() == [[[224, 20, 20], [20, 20, 20]]]
    assert np.array_equal(drawing.overlay_labels(image, np.array([[0, 1]]), PALETTE, alpha=0), image)


def test_the_overlay_of_a_street_picture_with_150_classes_takes_no_more_time_than_a_few_classes():
    labels = np.random.default_rng(0).integers(0, 150, (1024, 2048))
    image = np.zeros((1024, 2048, 3), np.uint8)

    def seconds(palette):
        start = time.perf_counter()
        drawing.overlay_labels(image, labels, palette, 0.5)
        return time.perf_counter() - start
    many = min(seconds(drawing.distinct_colors(150)) for _ in range(3))
    assert many < 3 * min(seconds(PALETTE) for _ in range(3))
    assert many < 0.5


def test_made_up_colours_are_those_of_voc_and_differ():
    colors = drawing.distinct_colors(200)
    assert colors[:4] == [[128, 0, 0], [0, 128, 0], [128, 128, 0], [0, 0, 128]]
    assert len({tuple(color) for color in colors}) == 200


def test_depth_goes_from_purple_to_yellow_and_what_is_unknown_is_black():
    picture = drawing.color_depth(np.array([[1., 5., 9.], [0., np.nan, np.inf]]))
    near, _, far = picture[0].astype(int)
    assert near[2] > near[1]
    assert far[0] > 200 and far[1] > 200 and far[2] < 100
    assert not picture[1].any()
    assert not drawing.color_depth(np.zeros((2, 2))).any()


def test_a_name_is_written_inside_the_largest_region_of_its_class():
    labels = np.zeros((120, 200), np.uint8)
    labels[40:110, 100:190] = 1
    labels[5:10, 5:10] = 1
    picture = drawing.color_labels(labels, PALETTE)
    before = picture.copy()
    drawing.write_names(picture, labels, ['ground', 'car', 'never'], PALETTE)
    rows, columns = np.nonzero((picture != before).any(-1) & (labels == 1))
    assert 60 < rows.mean() < 90
    assert 120 < columns.mean() < 170
    assert (picture[labels == 0] != before[labels == 0]).any()


def test_the_middle_of_a_ring_lies_on_the_ring():
    mask = np.zeros((41, 41), bool)
    mask[5:36, 5:36] = True
    mask[12:29, 12:29] = False
    x, y = drawing._middle_of_largest_region(mask)
    assert mask[y, x]


def test_panels_stand_beside_each_other_above_a_legend():
    image, truth = np.full((300, 400, 3), 9, np.uint8), np.full((300, 400, 3), 99, np.uint8)
    bare = drawing.side_by_side(dict(image=image, truth=truth))
    assert bare.shape[1] == 2 * 400 + drawing.MARGIN
    head = bare.shape[0] - 300
    assert np.array_equal(bare[head:, :400], image)
    assert np.array_equal(bare[head:, 400 + drawing.MARGIN:], truth)
    named = drawing.side_by_side(dict(image=image, truth=truth), [('road', (255, 0, 0)), ('car', (0, 255, 0))])
    legend = named[bare.shape[0]:]
    assert (legend == (255, 0, 0)).all(-1).any() and (legend == (0, 255, 0)).all(-1).any()


def test_small_panels_are_enlarged_and_a_long_legend_takes_several_lines():
    panels = dict(image=np.arange(64 * 64 * 3, dtype=np.uint8).reshape(64, 64, 3))
    short = drawing.side_by_side(panels, [('a', (255, 0, 0))])
    long = drawing.side_by_side(panels, [(f'class number {i}', (i, 0, 0)) for i in range(40)])
    assert short.shape[1] == long.shape[1] == 256
    assert long.shape[0] > short.shape[0] + 10 * 15
    head = drawing.side_by_side(panels).shape[0] - 256
    assert np.array_equal(short[head:head + 256:4, ::4], panels['image'])


def test_pictures_are_written_and_read_in_rgb(tmp_path):
    picture = np.zeros((4, 5, 3), np.uint8)
    picture[..., 0] = 200
    write_image(tmp_path / 'new' / 'red.png', picture)
    assert cv2.imread(str(tmp_path / 'new' / 'red.png'))[0, 0].tolist() == [0, 0, 200]
    assert np.array_equal(read_image(tmp_path / 'new' / 'red.png'), picture)
    labels = np.array([[0, 300]], np.uint16)
    write_image(tmp_path / 'labels.png', labels)
    assert np.array_equal(cv2.imread(str(tmp_path / 'labels.png'), cv2.IMREAD_UNCHANGED), labels)


def test_what_cannot_be_read_or_written_is_named(tmp_path):
    with pytest.raises(InputError, match=r'cannot read the image .*none\.png: No such file'):
        read_image(tmp_path / 'none.png')
    (tmp_path / 'text.png').write_text('text')
    with pytest.raises(InputError, match=r"text\.png: found bytes that begin with b'text'"):
        read_image(tmp_path / 'text.png')
    picture = np.zeros((2, 2, 3), np.uint8)
    with pytest.raises(InputError, match=r'cannot write the picture .*text\.png'):
        write_image(tmp_path / 'text.png' / 'x.png', picture)
    with pytest.raises(InputError, match=r"'\.xyz' is not a format of images"):
        write_image(tmp_path / 'x.xyz', picture)
