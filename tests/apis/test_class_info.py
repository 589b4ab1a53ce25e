import pytest
from mmengine.config import Config

from mmseg.apis.class_info import class_info
from mmseg.utils import get_classes, get_palette

OWN = dict(classes=('a', 'b'), palette=[[1, 2, 3], [4, 5, 6]])


def config(**dataset):
    return Config(dict(test_dataloader=dict(dataset=dataset) if dataset else None))


@pytest.mark.parametrize('meta', [
    dict(dataset_meta=OWN), dict(CLASSES=OWN['classes'], PALETTE=OWN['palette']),
    dict(dataset_meta=dict(CLASSES=OWN['classes'], PALETTE=OWN['palette']))])
def test_the_checkpoint_comes_first(meta):
    assert class_info(config(type='CityscapesDataset'), dict(meta=meta), 2) == OWN


@pytest.mark.parametrize('dataset', [
    dict(type='CityscapesDataset'),
    dict(type='RepeatDataset', times=2, dataset=dict(type='CityscapesDataset')),
    dict(type='ConcatDataset', datasets=[dict(type='CityscapesDataset')] * 2)])
def test_then_the_data_set_of_the_config(dataset):
    info = class_info(config(**dataset), dict(meta={}), 19)
    assert list(info['classes']) == get_classes('cityscapes')
    assert [list(color) for color in info['palette']] == get_palette('cityscapes')


def test_classes_chosen_in_the_config_keep_their_colours():
    info = class_info(config(type='CityscapesDataset', metainfo=dict(classes=('car', 'road'))), None, 2)
    assert info['classes'] == ('car', 'road')
    assert [list(color) for color in info['palette']] == [[0, 0, 142], [128, 64, 128]]
    info = class_info(config(type='BaseSegDataset', metainfo=dict(classes=('x', 'y'))), None, 2)
    assert info['palette'] == [[128, 0, 0], [0, 128, 0]]


def test_then_a_known_data_set_of_as_many_classes():
    with pytest.warns(UserWarning, match='taking those of ade'):
        info = class_info(config(), None, 150)
    assert info == dict(classes=get_classes('ade'), palette=get_palette('ade'))
    with pytest.warns(UserWarning, match='taking those of voc'):
        assert len(class_info(config(type='CityscapesDataset'), None, 21)['classes']) == 21


def test_then_numbers():
    with pytest.warns(UserWarning, match='numbering them'):
        info = class_info(config(), None, 3000)
    assert info['classes'][:2] == ['0', '1']
    assert len(info['palette']) == 3000
