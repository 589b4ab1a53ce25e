"""Numbers of classes are filled in from the data and compared with them."""
import pytest
from mmengine.config import ConfigDict
from mmengine.registry import DefaultScope
from torch import nn

from mmseg.engine import Runner
from mmseg.engine.classes import ClassCountError, check_num_classes, fill_num_classes
from mmseg.registry import DATASETS
from mmseg.utils.config import read_config
from tests.engine.toy import ToyHead, with_validation

THREE = dict(type='ToySquares', metainfo=dict(classes=('a', 'b', 'c')))


@pytest.mark.parametrize('dataset, number', [
    (dict(type='ToySquares'), 2), (THREE, 3),
    (dict(type='RepeatDataset', times=2, dataset=dict(type='ConcatDataset', datasets=[THREE, THREE])), 3),
])
def test_an_open_number_is_that_of_the_data(dataset, number):
    model = ConfigDict(decode_head=[dict(num_classes=None, kernel=[dict(num_classes=None)]), dict(num_classes=7)],
                       auxiliary_head=dict(num_classes=None), backbone=dict(num_classes=None))
    with DefaultScope.overwrite_default_scope('mmseg'):
        assert fill_num_classes(model, dataset) == number
    first, second = model.decode_head
    assert (first.num_classes, first.kernel[0].num_classes, model.auxiliary_head.num_classes) == (number,) * 3
    assert second.num_classes == 7 and model.backbone.num_classes is None


class Nameless:
    metainfo = {}

    def __init__(self, lazy_init: bool):
        assert lazy_init


def test_a_number_that_stays_open_is_an_error():
    with pytest.raises(ClassCountError, match='names no classes: give num_classes'):
        fill_num_classes(dict(decode_head=dict(num_classes=None)), dict(type=Nameless))


def test_the_runner_fills_it_before_it_builds(config_for):
    model = dict(type='ToySegmentor', decode_head=dict(num_classes=None))
    runner = Runner.from_cfg(config_for(model=model))
    assert runner.model.decode_head.num_classes == 2 == runner.cfg.model.decode_head.num_classes


def test_training_data_with_other_classes_are_refused(config_for):
    config = config_for()
    config['train_dataloader'] = dict(config['train_dataloader'], dataset=THREE)
    with pytest.raises(ClassCountError, match=r'model\.decode_head\.num_classes is 2, but train_dataloader\.dataset '
                                              r'has 3 classes \(a, b, c, …\): set num_classes=3'):
        Runner.from_cfg(config).train()


def test_validation_data_with_other_classes_are_refused(config_for):
    config = with_validation(config_for())
    config['val_dataloader'] = dict(config['val_dataloader'], dataset=THREE)
    with pytest.raises(ClassCountError, match=r'is 2, but val_dataloader\.dataset has 3'):
        Runner.from_cfg(config).train()


class Model(nn.Module):

    def __init__(self, *heads):
        super().__init__()
        self.decode_head = nn.ModuleList(heads) if len(heads) > 1 else heads[0]
        self.auxiliary_head = ToyHead(9)


class DepthEstimator(Model):
    pass


@pytest.mark.parametrize('model, classes', [
    (Model(ToyHead(2)), ('a', 'b')), (Model(ToyHead(2, out_channels=1)), ('a', 'b')), (Model(ToyHead(2)), None),
    (Model(nn.Identity()), ('a', 'b', 'c')), (DepthEstimator(ToyHead(1)), ('kitchen', 'office')),
], ids=['equal', 'binary', 'no classes', 'no number', 'depth'])
def test_what_agrees_or_says_nothing_is_let_be(model, classes):
    check_num_classes(model, dict(classes=classes), 'train_dataloader.dataset')


def test_the_head_of_a_cascade_is_named():
    with pytest.raises(ClassCountError, match=r'model\.decode_head\[1\]\.num_classes is 3'):
        check_num_classes(Model(ToyHead(2), ToyHead(3)), dict(classes=('a', 'b')), 'train_dataloader.dataset')


def test_san_learns_and_predicts_voc_without_its_background():
    config = read_config('san-vit-b16_voc12aug-640x640')
    model = Model(ToyHead(config.model.decode_head.num_classes))
    for dataset in (*config.train_dataloader.dataset.datasets, config.val_dataloader.dataset):
        data = DATASETS.build({**dataset, 'lazy_init': True, 'pipeline': []})
        check_num_classes(model, data.metainfo, 'dataset')
        assert data.label_map[0] == 255 and data.label_map[20] == 19
