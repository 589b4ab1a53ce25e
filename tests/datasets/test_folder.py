"""A folder of one's own, as a newcomer may have it: masks in colours, suffixes in capitals, classes in the config."""
import numpy as np
import pytest
from PIL import Image

from mmseg.datasets.folder import FolderDataset, read_classes
from mmseg.utils.errors import InputError

CLASSES, PALETTE = ('soil', 'road', 'sky'), [[120, 80, 40], [128, 64, 128], [70, 130, 180]]
METAINFO = dict(classes=CLASSES, palette=PALETTE)
STEPS = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
LABELS = np.array([[0, 1, 2], [2, 255, 1]], np.uint8)
COLOURS = np.array([*PALETTE, *[[0, 0, 0]] * 253], np.uint8)


@pytest.fixture
def own(tmp_path):
    """Two images with suffixes in capitals, and masks in the colours of the classes; black is unlabelled."""
    for part in ('images/train', 'masks/train'):
        (tmp_path / part).mkdir(parents=True)
    for name in 'ab':
        Image.new('RGB', (3, 2)).save(tmp_path / f'images/train/{name}.JPG', 'JPEG')
        Image.fromarray(COLOURS[LABELS]).save(tmp_path / f'masks/train/{name}.png')
    return tmp_path


def labels_of(root, index=0, **kwargs):
    return FolderDataset(str(root), pipeline=STEPS, **{'metainfo': METAINFO, **kwargs})[index]['gt_seg_map']


def test_masks_in_colours_become_numbers(own):
    for index in range(2):
        labels = labels_of(own, index)
        assert labels.dtype == np.uint8 and labels.tolist() == LABELS.tolist()


def test_unlabelled_pixels_follow_ignore_index(own):
    assert labels_of(own, ignore_index=9).tolist() == np.where(LABELS == 255, 9, LABELS).tolist()


def test_black_may_be_a_class(own):
    metainfo = dict(classes=(*CLASSES, 'night'), palette=[*PALETTE, [0, 0, 0]])
    assert labels_of(own, metainfo=metainfo).tolist() == np.where(LABELS == 255, 3, LABELS).tolist()


def test_some_classes_of_masks_in_colours(own):
    lines = [f'{name}: {red}, {green}, {blue}' for name, (red, green, blue) in zip(CLASSES, PALETTE)]
    (own / 'classes.txt').write_text('\n'.join(lines))
    expected = np.select([LABELS == 2, LABELS == 1], [0, 1], 255)
    for metainfo in (dict(classes=('sky', 'road')), dict(classes=('sky', 'road'), palette=[[1, 1, 1], [2, 2, 2]])):
        assert labels_of(own, metainfo=metainfo).tolist() == expected.tolist()


def test_colours_with_transparency_or_a_palette_file(own):
    Image.fromarray(COLOURS[LABELS]).convert('RGBA').save(own / 'masks/train/a.png')
    assert labels_of(own).tolist() == LABELS.tolist()
    picture = Image.fromarray(LABELS, 'P')
    picture.putpalette(COLOURS.tobytes())
    for name in 'ab':
        picture.save(own / f'masks/train/{name}.png')
    assert labels_of(own).tolist() == LABELS.tolist(), 'the numbers of a palette file count, as long as they may'
    picture.putpalette(COLOURS[::-1].tobytes())
    picture.save(own / 'masks/train/a.png')
    assert labels_of(own).tolist() == LABELS.tolist()


def test_black_and_white_masks_need_one_word(own):
    for name in 'ab':
        Image.fromarray(np.where(LABELS == 1, 255, 0).astype(np.uint8)).save(own / f'masks/train/{name}.png')
    metainfo = dict(classes=('rest', 'road'), palette=[[0, 0, 0], [255, 255, 255]])
    assert labels_of(own, metainfo=metainfo).max() == 255, 'white alone means ignored'
    assert labels_of(own, metainfo=metainfo, mask_colors=True).tolist() == (LABELS == 1).astype(int).tolist()


@pytest.mark.parametrize(('metainfo', 'words'), [
    (dict(classes=CLASSES), r'a\.png. is painted in colours, but the classes have none: give each line of'),
    (dict(METAINFO, palette=[PALETTE[0], PALETTE[0], PALETTE[1]]), 'only 2 of the 3 classes have a colour of'),
    (dict(METAINFO, palette=[*PALETTE[:2], [1, 2, 3]]),
     r'found 1 RGB colours that belong to no class, the most frequent \(70, 130, 180\) \(2 pixels\), expected'),
])
def test_colours_without_a_class_are_told(own, metainfo, words):
    with pytest.raises(InputError, match=words):
        FolderDataset(str(own), metainfo=metainfo)


def test_a_later_mask_with_another_colour_is_told_when_it_is_read(own):
    Image.new('RGB', (3, 2), (9, 9, 9)).save(own / 'masks/train/b.png')
    with pytest.raises(InputError, match=r'b\.png: found 1 RGB colours that belong to no class'):
        labels_of(own, 1)


def test_classes_in_a_file_of_any_name(own, tmp_path):
    (own / 'labels.csv').write_text('\ufeffsoil,120,80,40\nroad,128,64,128\nsky,70,130,180\n', encoding='utf-8')
    assert labels_of(own, metainfo=dict(classes='labels.csv')).tolist() == LABELS.tolist()
    assert labels_of(own, metainfo=dict(classes=str(own / 'labels.csv'))).tolist() == LABELS.tolist()
    with pytest.raises(FileNotFoundError, match="there is no file 'names.txt', neither in"):
        FolderDataset(str(own), metainfo=dict(classes='names.txt'))


@pytest.mark.parametrize('line', ['road 128 64 128', 'road:128,64,128::', 'road, 128, 64, 128', 'road\t(128, 64, 128)',
                                  ' road [128 64 128] '])
def test_colours_may_be_written_in_many_ways(tmp_path, line):
    (tmp_path / 'classes.txt').write_text(f'# label:color_rgb:parts:actions\n{line}\n')
    assert read_classes(tmp_path / 'classes.txt') == dict(classes=('road',), palette=((128, 64, 128),))


def test_masks_of_other_names_are_recognised(own):
    for name in 'ab':
        (own / f'masks/train/{name}.png').rename(own / f'masks/train/{name}_mask.png')
    with pytest.raises(FileNotFoundError, match="a_mask.png' looks like it: set seg_map_suffix='_mask.png'"):
        FolderDataset(str(own), metainfo=METAINFO)
    assert labels_of(own, seg_map_suffix='_mask.png').tolist() == LABELS.tolist()


def test_images_alone(own):
    prefix = dict(img_path='images/train')
    sample = FolderDataset(str(own), prefix, metainfo=METAINFO, test_mode=True, pipeline=STEPS[:1])[0]
    assert sample['img'].shape == (2, 3, 3) and 'seg_map_path' not in sample


def test_who_looks_at_each_file_anyway_gets_samples_with_gaps(own):
    (own / 'masks/train/a.png').unlink()
    (own / 'train.txt').write_text('a\nb\nlost\n')
    dataset = FolderDataset(str(own), ann_file='train.txt', metainfo=METAINFO, lazy_init=True)
    dataset.checks_files = False
    samples = [dataset.get_data_info(index) for index in range(3)]
    assert samples[0]['seg_map_path'] == f'{own}/masks/train/a'
    assert samples[2]['img_path'] == f'{own}/images/train/lost'
    assert FolderDataset(str(own), ann_file='', metainfo=METAINFO, lazy_init=True).checks_files
