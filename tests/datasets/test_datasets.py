"""Every data set: its classes, palette and defaults, and what is special about some."""
import hashlib
import inspect
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from mmseg.datasets import (
    CamVidDataset,
    DecathlonDataset,
    DSDLSegDataset,
    LEVIRCDDataset,
    NYUDataset,
    PascalContextDataset59,
    PascalVOCDataset,
    REFUGEDataset,
)
from mmseg.registry import DATASETS
from mmseg.utils.errors import InputError

FACTS = json.loads((Path(__file__).parents[1] / 'data' / 'datasets.json').read_text())


@pytest.mark.parametrize('name', FACTS)
def test_classes_palette_and_defaults(name):
    data_set, facts = DATASETS.get(name), FACTS[name]
    for key in ('classes', 'palette'):
        values = json.loads(json.dumps(getattr(data_set, 'METAINFO', {}).get(key, [])))
        digest = hashlib.sha1(json.dumps(values).encode()).hexdigest()
        assert ([len(values), values[0], values[-1], digest] if values else None) == facts.get(key), key
    signature = inspect.signature(data_set).parameters
    assert {key: signature[key].default for key in facts['defaults']} == facts['defaults']


@pytest.mark.parametrize('name', [name for name, facts in FACTS.items() if 'img_suffix' in facts['defaults']])
def test_files_are_looked_for_by_the_default_suffixes(name):
    defaults = FACTS[name]['defaults']
    data_set = DATASETS.get(name)(lazy_init=True, **({'ann_file': ''} if name == 'PascalVOCDataset' else {}))
    expected = dict(img_path='img_suffix', img_path2='img_suffix2', seg_map_path='seg_map_suffix',
                    depth_map_path='depth_map_suffix')
    assert data_set.suffixes() == {key: defaults[name] for key, name in expected.items() if name in defaults}
    assert data_set.metainfo['reduce_zero_label'] == defaults.get('reduce_zero_label', False)


def test_a_change_pair_has_two_images(tmp_path, touch):
    touch(tmp_path, 'A/1.png', 'B/1.png', 'label/1.png', 'A/2.png', 'B/2.png', 'label/2.png')
    folders = dict(img_path='A', img_path2='B', seg_map_path='label')
    data_set = LEVIRCDDataset(data_root=str(tmp_path), data_prefix=folders)
    sample = data_set.get_data_info(1)
    assert [sample[key] for key in folders] == [f'{tmp_path}/{folder}/2.png' for folder in ('A', 'B', 'label')]

    # LEVIR-CD's own lists name whole files
    (tmp_path / 'test.txt').write_text('2.png\n')
    for suffix in ('.png', '.jpg'):
        data_set = LEVIRCDDataset(ann_file='test.txt', data_root=str(tmp_path), data_prefix=folders, img_suffix=suffix)
        assert data_set.get_data_info(0)['img_path2'] == f'{tmp_path}/B/2.png'

    (tmp_path / 'B/2.png').unlink()
    with pytest.raises(FileNotFoundError, match="1 of 2 images have no file in data_prefix.'img_path2'.*'2.png'"):
        LEVIRCDDataset(data_root=str(tmp_path), data_prefix=folders, test_mode=True)


def test_camvid_ignores_void(tmp_path, touch):
    touch(tmp_path, 'images/train/a.jpg', 'annotations/train/a.png')
    folders = dict(img_path='images/train', seg_map_path='annotations/train')
    sample = CamVidDataset(data_root=str(tmp_path), data_prefix=folders).get_data_info(0)
    assert sample['label_map'] == {**{label: label for label in range(11)}, 11: 255}

    data_set = CamVidDataset(metainfo=dict(classes=('Car', 'Road')), ignore_index=9, lazy_init=True)
    assert {old: new for old, new in data_set.label_map.items() if new != 9} == {8: 0, 3: 1}
    assert data_set.metainfo['palette'] == [[64, 0, 128], [128, 64, 128]]


def test_pascal_context_without_background_starts_at_the_second_class():
    assert PascalContextDataset59.METAINFO['classes'][0] == 'aeroplane'
    assert PascalContextDataset59.METAINFO['palette'][0] == [180, 120, 120]


def test_voc_needs_a_split_file(tmp_path, touch):
    with pytest.raises(TypeError, match='ann_file'):
        PascalVOCDataset(data_root=str(tmp_path))
    touch(tmp_path, 'JPEGImages/b.jpg', 'JPEGImages/a.jpg', 'JPEGImages/unlabelled.jpg',
          'SegmentationClass/a.png', 'SegmentationClass/b.png')
    (tmp_path / 'val.txt').write_text('b\na\n')
    data_set = PascalVOCDataset('val.txt', data_root=str(tmp_path),
                                data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'))
    assert [Path(data_set.get_data_info(i)['img_path']).name for i in range(len(data_set))] == ['b.jpg', 'a.jpg']


def test_refuge_reads_png(tmp_path, touch):
    touch(tmp_path, 'images/V0001.png', 'annotations/V0001.png')
    folders = dict(img_path='images', seg_map_path='annotations')
    assert len(REFUGEDataset(data_root=str(tmp_path), data_prefix=folders)) == 1


def test_nyu_knows_the_kind_of_room(tmp_path, touch):
    names = ('bathroom_0001_12', 'living_room_0002_3', 'attic_1', 'cellar')
    touch(tmp_path, *(f'images/{name}.jpg' for name in names), *(f'annotations/{name}.png' for name in names))
    data_set = NYUDataset(data_root=str(tmp_path))
    samples = {Path(sample['img_path']).stem: sample for sample in map(data_set.get_data_info, range(len(data_set)))}
    assert {name: sample['category_id'] for name, sample in samples.items()} == {
        'bathroom_0001_12': 1, 'living_room_0002_3': 2, 'attic_1': -1, 'cellar': -1}
    assert samples['cellar']['depth_map_path'] == f'{tmp_path}/annotations/cellar.png'
    assert len(data_set.metainfo['palette']) == 27


def test_decathlon_reads_its_task_file(tmp_path):
    task = dict(name='Heart', labels={'0': 'background', '1': 'left atrium'},
                training=[dict(image='./imagesTr/a.nii.gz', label='./labelsTr/a.nii.gz')], test=['./imagesTs/b.nii.gz'])
    (tmp_path / 'dataset.json').write_text(json.dumps(task))
    train = DecathlonDataset(ann_file='dataset.json', data_root=str(tmp_path))
    sample = train.get_data_info(0)
    assert sample['img_path'] == f'{tmp_path}/imagesTr/a.nii.gz'
    assert sample['seg_map_path'] == f'{tmp_path}/labelsTr/a.nii.gz'
    assert train.metainfo['classes'] == ['background', 'left atrium'] and train.metainfo['name'] == 'Heart'
    assert len(train.metainfo['palette']) == 2 and 'training' not in train.metainfo

    test = DecathlonDataset(ann_file='dataset.json', data_root=str(tmp_path), test_mode=True)
    assert test.get_data_info(0)['img_path'] == f'{tmp_path}/imagesTs/b.nii.gz'
    assert 'seg_map_path' not in test.get_data_info(0)

    (tmp_path / 'dataset.json').write_text(json.dumps(dict(name='Heart')))
    with pytest.raises(InputError, match="dataset.json' holds name: expected .*'training'"):
        DecathlonDataset(ann_file='dataset.json', data_root=str(tmp_path))
    with pytest.raises(FileNotFoundError, match="no.json' does not exist; .*'dataset.json'"):
        DecathlonDataset(ann_file='no.json', data_root=str(tmp_path))


class FakeDSDL(list):
    """What DSDLSegDataset uses of the package dsdl."""

    def __init__(self, dsdl_yaml, location_config, required_fields, specific_key_path, transform):
        image, label = (SimpleNamespace(location=name) for name in ('a.jpg', 'a.png'))
        super().__init__([dict(Image=[image], LabelMap=[label])])
        self.dsdl_yaml, self.class_names = dsdl_yaml, ['road', 'car', 'sky']


def test_dsdl_takes_classes_and_files_from_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, 'dsdl', ModuleType('dsdl'))
    monkeypatch.setitem(sys.modules, 'dsdl.dataset', SimpleNamespace(DSDLDataset=FakeDSDL))
    arguments = dict(ann_file='train.yaml', data_root='root', data_prefix=dict(img_path='raw', seg_map_path='raw'))
    data_set = DSDLSegDataset(**arguments)
    assert data_set.dsdldataset.dsdl_yaml == 'root/train.yaml'
    assert data_set.metainfo['classes'] == ('background', 'road', 'car', 'sky') and data_set.label_map is None
    sample = data_set.get_data_info(0)
    assert (sample['img_path'], sample['seg_map_path']) == ('root/raw/a.jpg', 'root/raw/a.png')

    data_set = DSDLSegDataset(used_labels=['sky', 'road'], **arguments)
    assert data_set.metainfo['classes'] == ('sky', 'road')
    assert data_set.get_data_info(0)['label_map'] == {0: 255, 1: 1, 2: 255, 3: 0}


def test_dsdl_says_how_to_get_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, 'dsdl', None)
    with pytest.raises(ModuleNotFoundError, match='pip install dsdl'):
        DSDLSegDataset(ann_file='train.yaml')
