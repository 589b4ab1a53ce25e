"""The built-in scenes, and folders of one's own laid out like them."""
import hashlib

import numpy as np
import pytest
from PIL import Image

from mmseg.datasets.folder import FolderDataset, read_classes
from mmseg.datasets.scenes import BALL, CLASSES, PALETTE, SIZE, compose_scene, write_scenes

pytest.importorskip('skimage', reason='the scenes are composed of photographs that come with scikit-image')

# SHA-256 of the pixels and labels of scene 7 for validation.
SCENE_7 = 'dbacb503e46056099226ebf8c4e2a50842f678308e872eadc6f582f205378765'


@pytest.fixture(scope='module')
def scenes(tmp_path_factory):
    return write_scenes(tmp_path_factory.mktemp('data') / 'scenes', dict(train=3, val=2))


@pytest.fixture
def own(tmp_path):
    """A user's folder: two classes, pictures of several kinds, one in a subfolder."""
    for part in ('images/train/east', 'masks/train/east'):
        (tmp_path / part).mkdir(parents=True)
    mask = np.array([[0, 1], [255, 1]], np.uint8)
    for name, suffix in (('a', '.jpg'), ('east/b', '.PNG'), ('c.v2', '.tif')):
        Image.new('RGB', (2, 2)).save(tmp_path / f'images/train/{name}{suffix}')
        Image.fromarray(mask).save(tmp_path / f'masks/train/{name}.png')
    (tmp_path / 'classes.txt').write_text('# the ground\nbare soil 120 80 40\n\nroad  128 64 128\n')
    return tmp_path


def test_a_scene_is_the_same_on_every_machine():
    image, labels = compose_scene('val', 7)
    assert image.shape == (SIZE, SIZE, 3) and image.dtype == labels.dtype == np.uint8
    assert hashlib.sha256(image.tobytes() + labels.tobytes()).hexdigest() == SCENE_7


def test_scenes_differ_and_splits_share_none():
    seen = {compose_scene(split, index)[0].tobytes() for split in ('train', 'val') for index in range(10)}
    assert len(seen) == 20


def test_an_unknown_split_is_refused():
    with pytest.raises(ValueError, match="no split 'test'.*train, val"):
        compose_scene('test', 0)


def test_every_class_is_there_and_none_prevails():
    labels = np.stack([compose_scene('train', index, size=64)[1] for index in range(60)])
    share = np.bincount(labels.ravel(), minlength=len(CLASSES)) / labels.size
    assert len(share) == len(CLASSES) and share.min() > 0.02 and share.max() < 0.35


def test_the_colour_of_a_pixel_does_not_tell_its_class():
    """A classifier that knows only how often each colour belongs to each class stays far from a useful one."""
    def pixels(split, count):
        pairs = [compose_scene(split, index) for index in range(count)]
        colours = np.stack([image for image, _ in pairs]).reshape(-1, 3).astype(int) // 32
        return colours @ (64, 8, 1), np.stack([labels for _, labels in pairs]).ravel()

    colours, labels = pixels('train', 80)
    table = np.zeros((512, len(CLASSES)), int)
    np.add.at(table, (colours, labels), 1)
    colours, labels = pixels('val', 20)
    guess = table.argmax(1)[colours]
    both = np.bincount(labels * len(CLASSES) + guess, minlength=len(CLASSES)**2).reshape(len(CLASSES), -1)
    iou = both.diagonal() / (both.sum(0) + both.sum(1) - both.diagonal())
    assert iou.mean() < 0.2


def test_a_ball_is_round():
    """The label follows the pixels that were painted: an uncovered ball fills π/4 of its box."""
    for index in range(40):
        _, labels = compose_scene('val', index)
        rows, columns = (np.flatnonzero((labels == BALL).any(axis)) for axis in (1, 0))
        if len(rows) and min(rows[0], columns[0]) > 0 and max(rows[-1], columns[-1]) < SIZE - 1:
            box = labels[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1]
            if abs(box.shape[0] - box.shape[1]) <= 1 and (np.bincount(box.ravel(), minlength=8)[4:7] == 0).all():
                assert abs((box == BALL).mean() - np.pi / 4) < 0.03
                return
    pytest.fail('no uncovered ball among 40 scenes')


def test_scenes_are_written_like_a_folder_of_ones_own(scenes):
    dataset = FolderDataset(str(scenes), dict(img_path='images/val', seg_map_path='masks/val'))
    assert dataset.metainfo['classes'] == CLASSES and dataset.metainfo['palette'] == PALETTE
    assert len(dataset) == 2 and len(FolderDataset(str(scenes))) == 3
    image, labels = compose_scene('val', 1)
    sample = dataset.get_data_info(1)
    assert np.array_equal(np.asarray(Image.open(sample['img_path'])), image)
    assert np.array_equal(np.asarray(Image.open(sample['seg_map_path'])), labels)
    assert sorted(path.name for path in scenes.parent.iterdir()) == ['scenes'], 'nothing half written is left'


def test_scenes_that_are_there_are_left_alone(scenes):
    before = (scenes / 'classes.txt').stat().st_mtime_ns
    write_scenes(scenes, dict(train=50))
    assert (scenes / 'classes.txt').stat().st_mtime_ns == before and len(FolderDataset(str(scenes))) == 3


def test_an_interrupted_writing_leaves_no_folder(tmp_path, monkeypatch):
    def stop(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr('mmseg.datasets.scenes.compose_scene', stop)
    with pytest.raises(KeyboardInterrupt):
        write_scenes(tmp_path / 'scenes', dict(val=1))
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_named_scenes_is_composed(tmp_path, monkeypatch):
    monkeypatch.setattr('mmseg.datasets.scenes.SPLITS', {'train': 1, 'val': 1})
    assert len(FolderDataset(str(tmp_path / 'data' / 'scenes'))) == 1


def test_own_pictures_of_any_kind(own):
    dataset = FolderDataset(str(own))
    found = [dataset.get_data_info(index) for index in range(len(dataset))]
    assert [sample['img_path'].removeprefix(str(own)) for sample in found] == [
        '/images/train/a.jpg', '/images/train/c.v2.tif', '/images/train/east/b.PNG']
    assert [sample['seg_map_path'].removeprefix(str(own)) for sample in found] == [
        '/masks/train/a.png', '/masks/train/c.v2.png', '/masks/train/east/b.png']
    assert dataset.metainfo['classes'] == ('bare soil', 'road')
    assert dataset.metainfo['palette'] == ((120, 80, 40), (128, 64, 128))


def test_split_file(own):
    (own / 'two.txt').write_text('c.v2\na.jpg\n')
    dataset = FolderDataset(str(own), ann_file='two.txt')
    assert [dataset.get_data_info(i)['img_path'].rpartition('/')[2] for i in range(2)] == ['c.v2.tif', 'a.jpg']


def test_masks_with_a_suffix_of_their_own(own):
    for path in sorted((own / 'masks').rglob('*.png')):
        path.rename(path.with_name(f'{path.name[:-4]}_mask.png'))
    assert len(FolderDataset(str(own), seg_map_suffix='_mask.png')) == 3


def test_chosen_classes_are_mapped(own):
    dataset = FolderDataset(str(own), metainfo=dict(classes=('road',)))
    assert dataset.label_map == {0: 255, 1: 0} and list(dataset.metainfo['palette']) == [(128, 64, 128)]


def test_classes_in_the_config_need_no_file(own):
    (own / 'classes.txt').unlink()
    dataset = FolderDataset(str(own), metainfo=dict(classes=('soil', 'road')))
    assert dataset.metainfo['classes'] == ('soil', 'road') and len(dataset.metainfo['palette']) == 2
    with pytest.raises(FileNotFoundError, match=r'classes\.txt does not exist.*a line for each class'):
        FolderDataset(str(own))


def test_a_test_needs_no_masks(own):
    (own / 'images' / 'new').mkdir()
    Image.new('RGB', (2, 2)).save(own / 'images/new/x.png')
    dataset = FolderDataset(str(own), dict(img_path='images/new', seg_map_path='masks/new'), test_mode=True)
    assert 'seg_map_path' not in dataset.get_data_info(0)


@pytest.mark.parametrize(('harm', 'error', 'message'), [
    (lambda own: (own / 'masks/train/a.png').unlink(), FileNotFoundError,
     "1 of 3 images have no file in '.*masks/train', 'a' first"),
    (lambda own: Image.new('RGB', (2, 2), 'red').save(own / 'masks/train/a.png'), ValueError,
     r'a\.png: found 1 RGB colours that belong to no class, the most frequent \(255, 0, 0\) \(4 pixels\), expected'),
    (lambda own: Image.fromarray(np.full((2, 2), 9, np.uint8)).save(own / 'masks/train/a.png'), ValueError,
     r'holds \[9\], but there are 2 classes: expected 0 to 1, or 255'),
    (lambda own: Image.new('RGB', (2, 2)).save(own / 'images/train/a.bmp'), ValueError,
     '4 pictures of 3 names'),
    (lambda own: (own / 'images').rename(own / 'pictures'), FileNotFoundError,
     "there is no folder '.*images/train'; data_root is expected"),
    (lambda own: (own / 'classes.txt').write_text('soil 1 2 3\nroad\n'), ValueError,
     '1 colours for 2 classes'),
    (lambda own: (own / 'classes.txt').write_text('soil 1 2 300\n'), ValueError,
     'line 1: the colour .* has a value over 255'),
    (lambda own: (own / 'classes.txt').write_text('\n'), ValueError, 'names no class'),
])
def test_what_is_wrong_is_said(own, harm, error, message):
    harm(own)
    with pytest.raises(error, match=message):
        FolderDataset(str(own))


def test_a_mistyped_folder_is_not_composed(tmp_path):
    with pytest.raises(FileNotFoundError, match='no folder .*mine.*classes.txt'):
        FolderDataset(str(tmp_path / 'mine'))
    assert list(tmp_path.iterdir()) == []


def test_names_may_hold_spaces_and_digits(tmp_path):
    (tmp_path / 'classes.txt').write_text('class 1\nwater 2 deep\n')
    assert read_classes(tmp_path / 'classes.txt') == dict(classes=('class 1', 'water 2 deep'))
