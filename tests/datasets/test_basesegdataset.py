"""How images and labels are found, what is done to classes and palettes, and what is said when something is wrong."""
import pickle
import time
from pathlib import Path

import pytest

from mmseg.datasets import BaseCDDataset, BaseSegDataset, basesegdataset
from mmseg.utils.errors import InputError

FOLDERS = dict(img_path='images', seg_map_path='labels')


class ThreeClasses(BaseSegDataset):
    METAINFO = dict(classes=('road', 'car', 'sky'), palette=[[1, 1, 1], [2, 2, 2], [3, 3, 3]])


@pytest.fixture
def root(tmp_path, touch):
    """Five images with labels, two of them in a subfolder; a split file each way."""
    stems = ('b', 'a', 'a-1', 'city/c', 'city/d')
    touch(tmp_path, *(f'images/{stem}.jpg' for stem in stems), *(f'labels/{stem}.png' for stem in stems))
    (tmp_path / 'train.txt').write_text('city/d\nb\n\n  a  \n')
    (tmp_path / 'val.txt').write_text('city/c.jpg\n')
    return tmp_path


def build(root, data_set=ThreeClasses, **kwargs):
    return data_set(**{**dict(data_root=str(root), data_prefix=FOLDERS), **kwargs})


def stems(data_set, key='img_path', folder='images'):
    paths = [data_set.get_data_info(index)[key] for index in range(len(data_set))]
    return [path.split(f'/{folder}/')[1].rpartition('.')[0] for path in paths]


# ---------------------------------------------------------------------- list of samples

def test_a_folder_is_listed_in_the_order_of_file_names(root, touch):
    touch(root, 'images/.hidden.jpg', 'images/.cache/e.jpg', 'images/notes.txt')
    data_set = build(root)
    assert stems(data_set) == ['a-1', 'a', 'b', 'city/c', 'city/d']  # '-' stands before '.'
    assert stems(data_set, 'seg_map_path', 'labels') == stems(data_set)
    assert data_set.get_data_info(1) == dict(
        img_path=f'{root}/images/a.jpg', seg_map_path=f'{root}/labels/a.png', label_map=None, reduce_zero_label=False,
        ignore_index=255, seg_fields=[], sample_idx=1)


def test_a_split_file_keeps_its_order(root):
    assert stems(build(root, ann_file='train.txt')) == ['city/d', 'b', 'a']
    assert stems(build(root, ann_file='val.txt')) == ['city/c'], 'names may carry the suffix'
    assert stems(build(root, ann_file=root / 'val.txt')) == ['city/c'], 'absolute, and a Path'
    assert len(build(root, ann_file='images')) == 5, 'a folder is no split file'


def test_without_a_label_folder_samples_have_no_label(root):
    sample = build(root, data_prefix=dict(img_path='images', seg_map_path=None)).get_data_info(0)
    assert 'seg_map_path' not in sample
    assert 'seg_map_path' not in build(root, data_prefix=dict(img_path='images')).get_data_info(0)


def test_suffixes_split_the_name_anywhere(tmp_path, touch):
    touch(tmp_path, 'x/1_left.png', 'x/1_right.png', 'x/1_label.png', 'y/2_left.png', 'y/2_label.png')
    data_set = build(tmp_path, data_prefix=dict(img_path='', seg_map_path=''), img_suffix='_left.png',
                     seg_map_suffix='_label.png')
    assert [data_set.get_data_info(index)['seg_map_path'] for index in range(2)] == [
        f'{tmp_path}/x/1_label.png', f'{tmp_path}/y/2_label.png']


@pytest.mark.parametrize('img_suffix, seg_map_suffix', [('.png', '_mask.png'), ('_image.png', '_mask.png'),
                                                        ('_image.png', '.png'), ('.jpg', '.png')])
def test_image_and_label_may_share_a_folder(tmp_path, img_suffix, seg_map_suffix, touch):
    touch(tmp_path, *(f'all/{name}{suffix}' for name in 'ab' for suffix in (img_suffix, seg_map_suffix)))
    data_set = build(tmp_path, data_prefix=dict(img_path='all', seg_map_path='all'), img_suffix=img_suffix,
                     seg_map_suffix=seg_map_suffix)
    assert [data_set.get_data_info(index)['img_path'] for index in range(len(data_set))] == [
        f'{tmp_path}/all/{name}{img_suffix}' for name in 'ab']


def test_lists_are_read_in_step(root, touch):
    assert stems(build(root, ann_file=['val.txt', 'train.txt'])) == ['city/c', 'city/d', 'b', 'a']
    touch(root, 'labels2/city/c.png')
    both = dict(img_path='images', seg_map_path=['labels', 'labels2'])
    data_set = build(root, ann_file=['train.txt', 'val.txt'], data_prefix=both)
    assert [Path(data_set.get_data_info(index)['seg_map_path']).parts[-3:-1] for index in (0, 3)] == [
        ('labels', 'city'), ('labels2', 'city')]
    assert len(build(root, data_prefix=dict(img_path='images', seg_map_path=['labels', 'labels']))) == 10
    with pytest.raises(InputError, match='2 of ann_file, 3 of seg_map_path: give the same number'):
        build(root, ann_file=['val.txt', 'train.txt'], data_prefix=dict(img_path='images', seg_map_path=['labels'] * 3))


@pytest.mark.parametrize('indices, expected', [(2, ['a-1', 'a']), (-1, ['city/d']), ([3, 0], ['city/c', 'a-1'])])
@pytest.mark.parametrize('serialize_data', [True, False])
def test_indices_choose_samples(root, indices, expected, serialize_data):
    assert stems(build(root, indices=indices, serialize_data=serialize_data)) == expected
    assert stems(build(root, serialize_data=serialize_data).get_subset(indices)) == expected


def test_the_list_is_one_array_that_survives_pickling(root):
    data_set = build(root)
    assert data_set.data_list == [] and data_set.data_bytes.dtype == 'uint8' and len(data_set.data_address) == 5
    assert stems(pickle.loads(pickle.dumps(data_set))) == stems(build(root, serialize_data=False))


def test_lazy_init_touches_no_file(root):
    data_set = build('nowhere', lazy_init=True)
    assert data_set.metainfo['classes'] == ('road', 'car', 'sky')
    assert len(build(root, lazy_init=True)) == 5


def test_another_storage_is_listed_through_its_backend(root):
    assert stems(build(root, backend_args=dict(backend='local'))) == stems(build(root))

    from mmengine.fileio import BaseStorageBackend, register_backend

    class Remote(BaseStorageBackend):
        def list_dir_or_file(self, dir_path, list_dir, list_file, suffix, recursive):
            assert (dir_path, suffix, recursive) == ('remote://bucket/images', '.jpg', True)
            return iter(['z.jpg', 'city/y.jpg'])

        def get_text(self, path, encoding='utf-8'):
            return {'remote://bucket/train.txt': 'z\n'}[path]

        def get(self, path):
            raise NotImplementedError

        def join_path(self, *parts):
            return '/'.join(parts)

    register_backend('remote', Remote, prefixes='remote', force=True)
    data_set = build('remote://bucket', backend_args=dict(backend='remote'))
    assert [data_set.get_data_info(index)['seg_map_path'] for index in range(2)] == [
        'remote://bucket/labels/city/y.png', 'remote://bucket/labels/z.png']
    assert len(build('remote://bucket', ann_file='train.txt', backend_args=dict(backend='remote'))) == 1


def test_the_pipeline_gets_the_sample_and_may_refuse_it(root):
    seen = []

    def refuse_first(sample):
        seen.append(sample['sample_idx'])
        return None if len(seen) == 1 else sample

    assert build(root, pipeline=[refuse_first])[3]['img_path'].endswith('.jpg') and len(seen) == 2
    with pytest.raises(Exception, match='None'):
        build(root, pipeline=[lambda sample: None], test_mode=True)[0]
    with pytest.raises(Exception, match='after 2'):
        build(root, pipeline=[lambda sample: None], max_refetch=2)[0]


def test_transforms_of_a_pipeline_are_built_without_a_default_scope(root):
    data_set = build(root, pipeline=[dict(type='LoadImageFromFile', ignore_empty=True)])
    assert type(data_set.pipeline.transforms[0]).__name__ == 'LoadImageFromFile'


def test_three_thousand_pairs_take_less_than_50_ms(tmp_path):
    for city in range(10):
        for folder in ('images', 'labels'):
            (tmp_path / folder / f'{city}').mkdir(parents=True)
        for number in range(300):
            (tmp_path / f'images/{city}/{number}.jpg').touch()
            (tmp_path / f'labels/{city}/{number}.png').touch()

    def seconds():
        start = time.process_time()
        assert len(build(tmp_path)) == 3000
        return time.process_time() - start

    assert min(seconds() for _ in range(8)) < 0.05


# ---------------------------------------------------------------------- classes and palette

def test_a_subset_of_the_classes_maps_labels_and_colours(root):
    data_set = build(root, metainfo=dict(classes=['sky', 'road']))
    assert data_set.metainfo == dict(classes=['sky', 'road'], palette=[[3, 3, 3], [1, 1, 1]], reduce_zero_label=False,
                                     label_map={0: 1, 1: 255, 2: 0})
    assert data_set.get_data_info(0)['label_map'] == {0: 1, 1: 255, 2: 0}
    assert ThreeClasses.METAINFO['classes'] == ('road', 'car', 'sky'), 'the table itself is untouched'


def test_classes_in_another_order_keep_their_colours():
    data_set = ThreeClasses(metainfo=dict(classes=('sky', 'car', 'road')), lazy_init=True)
    assert data_set.metainfo['palette'] == [[3, 3, 3], [2, 2, 2], [1, 1, 1]]
    assert data_set.label_map == {0: 2, 1: 1, 2: 0}


def test_left_out_classes_become_the_ignored_label():
    data_set = ThreeClasses(metainfo=dict(classes=('car', )), ignore_index=100, lazy_init=True)
    assert data_set.metainfo['label_map'] == {0: 100, 1: 0, 2: 100}
    assert ThreeClasses.get_label_map(('car', )) == {0: 255, 1: 0, 2: 255}
    assert ThreeClasses.get_label_map(['road', 'car', 'sky']) is None


def test_classes_may_come_from_a_file(tmp_path):
    (tmp_path / 'classes.txt').write_text('car\nroad\n')
    data_set = ThreeClasses(metainfo=dict(classes=str(tmp_path / 'classes.txt')), lazy_init=True)
    assert data_set.metainfo['classes'] == ['car', 'road'] and data_set.label_map == {0: 1, 1: 0, 2: 255}


def test_a_missing_palette_is_made_and_always_the_same():
    palettes = [BaseSegDataset(metainfo=dict(classes=('a', 'b')), lazy_init=True).metainfo['palette'] for _ in range(2)]
    assert palettes[0] == palettes[1] == [[102, 179, 92], [14, 106, 71]]


@pytest.mark.parametrize('metainfo, palette', [
    (dict(classes=('car', 'sky'), palette=[[9, 9, 9], [8, 8, 8]]), [[9, 9, 9], [8, 8, 8]]),  # for the chosen classes
    (dict(classes=('car', 'sky'), palette=[[9, 9, 9], [8, 8, 8], [7, 7, 7]]), [[8, 8, 8], [7, 7, 7]]),  # for all labels
    (dict(palette=[[9, 9, 9]] * 4), [[9, 9, 9]] * 4),  # one to spare
])
def test_a_palette_of_ones_own(metainfo, palette):
    assert ThreeClasses(metainfo=metainfo, lazy_init=True).metainfo['palette'] == palette


def test_reduce_zero_label_reaches_samples_and_metainfo(root):
    data_set = build(root, reduce_zero_label=True)
    assert data_set.metainfo['reduce_zero_label'] is True and data_set.get_data_info(0)['reduce_zero_label'] is True


# ---------------------------------------------------------------------- what is said when something is wrong

@pytest.mark.parametrize('arguments, message', [
    (dict(data_root='{root}/none'),
     r"data_prefix\['img_path'\]: the folder '.*/none/images' does not exist; the nearest folder that exists is "
     r"'{root}', which holds 'empty', 'images', 'labels', 'train.txt', 'val.txt': correct data_root \('.*/none'\)"),
    (dict(data_prefix=dict(img_path='images/city/x', seg_map_path='labels')),
     "'.*images/city/x' does not exist; .*'{root}/images/city', which holds 'c.jpg', 'd.jpg'"),
    (dict(data_prefix=dict(img_path='images', seg_map_path='masks')),
     r"data_prefix\['seg_map_path'\]: the folder '{root}/masks' does not exist"),
    (dict(img_suffix='.JPG'),
     r"data_prefix\['img_path'\]: no file of '{root}/images' ends with '.JPG'; there are 'a-1.jpg', 'a.jpg', "),
    (dict(data_prefix=dict(img_path='empty')), "no file of '.*/empty' ends with '.jpg'; it holds no file"),
    (dict(ann_file='trian.txt'), "ann_file '{root}/trian.txt' does not exist: .*'{root}', which holds .*'train.txt'"),
    (dict(seg_map_suffix='_mask.png'),
     r"5 of 5 images have no file in data_prefix\['seg_map_path'\]='{root}/labels/', expected 'a-1_mask.png', .*; "
     "there are 'a-1.png', 'a.png', .*correct .*test_mode"),
])
def test_missing_folders_and_files(root, arguments, message):
    (root / 'empty').mkdir()
    arguments = {key: value.format(root=root) if isinstance(value, str) else value for key, value in arguments.items()}
    with pytest.raises(FileNotFoundError, match=message.format(root=root)) as error:
        build(root, **arguments)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('ann_file', ['', 'train.txt'])
def test_images_without_a_label(root, ann_file):
    (root / 'labels/city/d.png').unlink()
    (root / 'labels/b.png').unlink()
    with pytest.raises(FileNotFoundError, match="2 of [35] images have no file .*labels/', expected '.*city/d.png'"):
        build(root, ann_file=ann_file)
    assert len(build(root, ann_file=ann_file, test_mode=True)) == (3 if ann_file else 5)


def test_a_test_needs_no_label_folder(root):
    assert len(build(root, test_mode=True, data_prefix=dict(img_path='images', seg_map_path='none'))) == 5


def test_labels_without_an_image_are_left_out_with_a_warning(root, monkeypatch):
    said = []
    monkeypatch.setattr(basesegdataset, 'print_log', lambda message, *_: said.append(message))
    (root / 'images/city/d.jpg').unlink()
    (root / 'images/b.jpg').unlink()
    assert stems(build(root)) == ['a-1', 'a', 'city/c']
    assert len(said) == 1 and "2 of 5 files of data_prefix['seg_map_path']" in said[0]
    assert said[0].endswith("'b.png', 'city/d.png'")


def test_a_split_file_that_names_missing_images(root):
    (root / 'train.txt').write_text('a\nz\ntown/b\n')
    with pytest.raises(FileNotFoundError, match="train.txt' names 2 of 3 images that are not in '.*/images/': 'z.jpg', "
                                                "'town/b.jpg'; there are 'a-1.jpg'.*img_suffix"):
        build(root, ann_file='train.txt')


def test_an_empty_split_file(root):
    (root / 'train.txt').write_text('\n \n')
    with pytest.raises(InputError, match="train.txt' is empty: expected the name of an image in each line"):
        build(root, ann_file='train.txt')


def test_an_unknown_class():
    with pytest.raises(InputError, match="names 'cars', not among the 3 classes of ThreeClasses: did you mean 'car'"):
        ThreeClasses(metainfo=dict(classes=('road', 'cars')))


@pytest.mark.parametrize('metainfo, found', [
    (dict(palette=[[0, 0, 0]] * 2), '2 colours for 3 classes'),
    (dict(classes=('car', 'sky'), palette=[[0, 0, 0]]), '1 colours for 2 classes'),
    (dict(classes=('sky', ), palette=[[0, 0, 0]] * 2), '2 colours for 1 classes')])
def test_a_palette_of_another_length(metainfo, found):
    with pytest.raises(InputError, match=f'{found}: give one .R, G, B. for each class'):
        ThreeClasses(metainfo=metainfo)


def test_a_data_prefix_without_images(root):
    with pytest.raises(InputError, match="data_prefix has 'img_dir': expected img_path"):
        build(root, data_prefix=dict(img_dir='images'))


def test_a_test_without_classes(root):
    with pytest.raises(InputError, match='BaseSegDataset has no classes, which a test needs'):
        build(root, BaseSegDataset, test_mode=True)


def test_change_detection_takes_the_same_arguments_and_one_suffix_more(root, touch):
    touch(root, *(f'later/{stem}.tif' for stem in ('a', 'b', 'a-1', 'city/c', 'city/d')))
    data_set = build(root, BaseCDDataset, img_suffix2='.tif', data_prefix=dict(FOLDERS, img_path2='later'),
                     metainfo=dict(classes=('same', 'changed')), indices=1)
    assert data_set.get_data_info(0) == dict(
        img_path=f'{root}/images/a-1.jpg', img_path2=f'{root}/later/a-1.tif', seg_map_path=f'{root}/labels/a-1.png',
        label_map=None, reduce_zero_label=False, ignore_index=255, seg_fields=[], sample_idx=0)
