"""Labels drawn from polygons: by the rule of the published files, and as cityscapesscripts draws them."""
import json

import numpy as np
import pytest

from mmseg.datasets.cityscapes import CityscapesDataset
from mmseg.datasets.converters.cityscapes import CONVERTER, FILL, IGNORED, draw_labels, fill_polygon
from mmseg.utils.errors import InputError
from tests.datasets.converters.published import encode, loose, picture, read, samples, written, zipped

IDS = {**dict.fromkeys(IGNORED, 255),
       **{name: label for label, name in enumerate(CityscapesDataset.METAINFO['classes'])}}


def scene(*things, height=8, width=10):
    objects = [dict(label=label, polygon=polygon, **more) for label, polygon, *rest in things for more in rest or [{}]]
    return json.dumps(dict(imgHeight=height, imgWidth=width, objects=objects)).encode()


def drawing(text):
    return np.array([[int(pixel) for pixel in row] for row in text.split()])


@pytest.mark.parametrize('points, expected', [
    # A pixel is inside where the middle of its row is; one that an edge cuts in half belongs on both sides.
    ([(1, 1), (4, 1), (4, 3), (1, 3)], '000000 011110 011110 000000'),
    ([(0, 0), (4, 4), (0, 4)], '110000 111000 111100 111110'),
    ([(2, 0), (4, 2), (2, 4), (0, 2)], '011100 111110 111110 011100'),
    ([(0, 0), (5, 0), (5, 4), (3, 4), (3, 1), (2, 1), (2, 4), (0, 4)], '111111 111111 111111 111111'),
    ([(0, 0), (6, 0), (6, 4), (5, 4), (5, 1), (1, 1), (1, 4), (0, 4)], '111111 110001 110001 110001'),
    ([(-3, -3), (2, -3), (2, 9), (-3, 9)], '111000 111000 111000 111000'),
    ([(8, 0), (9, 0), (9, 4)], '000000 000000 000000 000000'),
    ([(1, 2), (4, 2), (2, 2)], '000000 000000 000000 000000'),
])
def test_polygons(points, expected):
    label = np.zeros((4, 6), np.uint8)
    fill_polygon(label, np.array(points), 1)
    np.testing.assert_array_equal(label, drawing(expected))


def test_the_rule_row_by_row():
    """Beside a plain loop over the rows and edges of random polygons."""
    rng = np.random.default_rng(3)
    for _ in range(40):
        points = rng.integers(-5, 30, (rng.integers(3, 12), 2))
        expected, label = np.zeros((2, 25, 25), np.uint8)
        edges = list(zip(points.tolist(), np.roll(points, -1, 0).tolist()))
        for row in range(25):
            crossings = sorted((row + 0.5 - y0) * ((x1 - x0) / (y1 - y0)) + x0 for (x0, y0), (x1, y1) in edges
                               if min(y0, y1) <= row + 0.5 < max(y0, y1))
            for left, right in zip(crossings[::2], crossings[1::2]):
                first, last = int(np.ceil(left - 0.5)), int(np.floor(right + 0.5))
                expected[row, max(first, 0):max(last + 1, 0)] = 7
        fill_polygon(label, points, 7)
        np.testing.assert_array_equal(label, expected)


def test_names_order_and_what_is_left_out():
    square = [[0, 0], [9, 0], [9, 7], [0, 7]]
    content = scene(('out of roi', square), ('road', [[0, 0], [4, 0], [4, 3], [0, 3]]),
                    ('cargroup', [[5, 0], [9, 0], [9, 3], [5, 3]]), ('polegroup', [[0, 4], [4, 4], [4, 7], [0, 7]]),
                    ('license plate', [[0, 0], [9, 0], [9, 3], [0, 3]]),
                    ('sky', [[5, 4], [9, 4], [9, 7], [5, 7]], dict(deleted=1)))
    label = draw_labels(content, 'x.json', IDS)
    assert label.shape == (8, 10) and label.dtype == np.uint8
    assert (label[:3, :5] == 0).all() and (label[:3, 5:] == 13).all() and (label[3:] == 255).all()


@pytest.mark.parametrize('drawn', FILL)
def test_both_ways_to_fill_differ_on_borders_only(drawn):
    content = scene(('car', [[2, 2], [7, 2], [7, 6], [2, 6]]))
    label = draw_labels(content, '', IDS, drawn)
    assert (label[2:6, 2:8] == 13).all() and (label[:2] == 255).all()
    assert (label[6, 2:8] == 13).all() == (drawn == 'pillow')


def test_pillow_drawing_equals_cityscapesscripts():
    pytest.importorskip('cityscapesscripts')
    from cityscapesscripts.helpers.annotation import Annotation
    from cityscapesscripts.helpers.labels import name2label
    from cityscapesscripts.preparation.json2labelImg import createLabelImage
    names = [name for name, label in name2label.items() if name not in ('license plate', 'static')]
    assert {name: name2label[name].trainId for name in names} == {name: IDS[name] for name in names}
    rng = np.random.default_rng(0)
    content = scene(*((names[rng.integers(len(names))] + ('group' if index % 9 == 0 else ''),
                       rng.integers(-4, 60, (rng.integers(3, 9), 2)).tolist()) for index in range(40)),
                    height=50, width=55)
    annotation = Annotation()
    annotation.fromJsonText(content.decode())
    theirs = np.array(createLabelImage(annotation, 'trainIds'))
    np.testing.assert_array_equal(draw_labels(content, '', IDS, 'pillow'), theirs)
    ours = draw_labels(content, '', IDS)
    assert 0 < (ours != theirs).mean() < 0.2  # small polygons are mostly border


@pytest.mark.parametrize('content, sentence', [
    (b'{"imgHeight": 3', 'found no polygons as Cityscapes has them .JSONDecodeError'),
    (b'{"imgHeight": 3, "imgWidth": 3}', r"KeyError: 'objects'\); expected imgHeight, imgWidth and objects"),
    (scene(('castle', [[0, 0], [1, 1], [0, 1]])),
     "x.json: found a polygon of the unknown kind 'castle'; expected one of unlabeled, .*bicycle")])
def test_wrong_polygons(content, sentence):
    with pytest.raises(InputError, match=sentence):
        draw_labels(content, 'x.json', IDS)


CITIES = {'train': 'aachen', 'val': 'frankfurt', 'test': 'berlin'}


def published():
    square = [[0, 0], [9, 0], [9, 3], [0, 3]]
    images, labels = {}, {'license.txt': b'', 'README': b''}
    for index, (split, city) in enumerate(CITIES.items()):
        stem = f'{split}/{city}/{city}_000000_000019'
        images[f'leftImg8bit/{stem}_leftImg8bit.png'] = encode(picture(8, 10))
        labels[f'gtFine/{stem}_gtFine_polygons.json'] = scene((CityscapesDataset.METAINFO['classes'][index], square))
        labels[f'gtFine/{stem}_gtFine_labelIds.png'] = encode(np.full((8, 10), 7, np.uint8))
    return images, labels


def check(root):
    assert (root / 'val.txt').read_text() == 'frankfurt/frankfurt_000000_000019\n'
    label = read(root / 'gtFine/val/frankfurt/frankfurt_000000_000019_gtFine_labelTrainIds.png')
    assert (label[:3] == 1).all() and (label[3:] == 255).all()
    for loader, value in (('train_dataloader', 0), ('val_dataloader', 1)):
        [sample] = samples('cityscapes', root, loader)
        assert sample['data_samples'].gt_sem_seg.data.unique().tolist() in ([value], [value, 255])


def test_archives(tmp_path, convert):
    root = tmp_path / 'cityscapes'
    images, labels = published()
    zipped(root / 'leftImg8bit_trainvaltest.zip', images)
    zipped(root / 'gtFine_trainvaltest.zip', labels)
    status, out, _ = convert('cityscapes', root)
    assert status == 0 and '12 files written' in out
    assert '  gtFine/train *_gtFine_labelTrainIds.png: 1 files, 2,974 fewer than the published 2,975' in out
    check(root)
    assert convert('cityscapes', root)[1].startswith(f'{root}: 0 files to convert, 12 are done already\n')


def test_folders(tmp_path, convert):
    root = tmp_path / 'cityscapes'
    loose(root, {**published()[0], **published()[1]})
    before = written(root)
    assert convert('cityscapes', root, '--gt-dir', 'gtFine')[0] == 0
    assert len(set(written(root)).difference(before)) == 6
    check(root)
    status, _, err = convert('cityscapes', root, '--gt-dir', 'gtCoarse')
    assert status == 2 and 'found nothing for gtCoarse/train (*_gtCoarse_labelTrainIds.png)' in err


def test_labels_go_elsewhere(tmp_path, convert):
    loose(tmp_path / 'in', published()[1])
    assert convert('cityscapes', tmp_path / 'in', '-o', tmp_path / 'out', '--drawing', 'pillow')[0] == 0
    assert [name for name in written(tmp_path / 'out') if '/' not in name] == ['test.txt', 'train.txt', 'val.txt']
    assert (read(tmp_path / 'out/gtFine/test/berlin/berlin_000000_000019_gtFine_labelTrainIds.png')[:4] == 2).all()
    assert CONVERTER.counts[3].published == 2975
