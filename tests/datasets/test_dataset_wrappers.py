"""Data sets of data sets: ours, and mmengine's around ours."""
import pytest
from mmengine.dataset import ConcatDataset, RepeatDataset
from mmengine.registry import DefaultScope

from mmseg.datasets import BaseSegDataset, CityscapesDataset, MultiImageMixDataset
from mmseg.registry import DATASETS, TRANSFORMS


@TRANSFORMS.register_module()
class TakeNext:
    """Note which samples came as partners: the ones after the last, by negative index."""

    def get_indices(self, dataset):
        return [len(dataset) - 1, 0]

    def __call__(self, results):
        results['partners'] = [partner['sample_idx'] for partner in results['mix_results']]
        return results


@TRANSFORMS.register_module()
class TakeOne(TakeNext):
    def get_indices(self, dataset):
        return 1


@TRANSFORMS.register_module()
class CountSteps:
    def __call__(self, results):
        return {**results, 'steps': results.get('steps', 0) + 1}


@pytest.fixture
def config(tmp_path):
    for name in 'abc':
        (tmp_path / f'{name}.jpg').touch()
        (tmp_path / f'{name}.png').touch()
    return dict(type='BaseSegDataset', data_root=str(tmp_path), metainfo=dict(classes=('x', 'y')))


def mix(dataset, *types, **kwargs):
    return MultiImageMixDataset(dataset, [dict(type=name) for name in types], **kwargs)


def test_a_mixing_transform_finds_its_partners(config):
    data_set = mix(config, 'CountSteps', 'TakeNext', 'CountSteps')
    sample = data_set[1]
    assert (sample['sample_idx'], sample['partners'], sample['steps']) == (1, [2, 0], 2)
    assert 'mix_results' not in sample
    assert mix(config, 'TakeOne')[0]['partners'] == [1]


def test_transforms_can_be_passed_over(config):
    data_set = mix(config, 'CountSteps', 'TakeNext', skip_type_keys=['TakeNext'])
    assert 'partners' not in data_set[0] and data_set[0]['steps'] == 1
    data_set.update_skip_type_keys(['CountSteps'])
    assert data_set[0]['partners'] == [2, 0] and 'steps' not in data_set[0]
    data_set.update_skip_type_keys(None)
    assert data_set[0]['steps'] == 1
    with pytest.raises(TypeError, match='names of transforms'):
        data_set.update_skip_type_keys([1])


def test_it_passes_on_what_it_wraps(config):
    inner = DATASETS.build(config)
    data_set = mix(inner, 'CountSteps')
    assert len(data_set) == 3 and data_set.metainfo == inner.metainfo
    assert data_set.get_data_info(2)['img_path'] == inner.get_data_info(2)['img_path']
    assert len(mix(dict(config, lazy_init=True), 'CountSteps', lazy_init=True)) == 3


@pytest.mark.parametrize('dataset, pipeline, message', [
    ([1, 2], [], 'a data set or its config, but got list'),
    (None, [len], 'configs of transforms')])
def test_wrong_arguments(config, dataset, pipeline, message):
    with pytest.raises(TypeError, match=message):
        MultiImageMixDataset(dataset or config, pipeline)


def test_wrappers_of_mmengine_keep_the_metainfo(config):
    with DefaultScope.overwrite_default_scope('mmseg'):
        concat = DATASETS.build(dict(type='ConcatDataset', datasets=[config, dict(config, indices=2)]))
        repeat = DATASETS.build(dict(type='RepeatDataset', dataset=config, times=4))
    assert isinstance(concat, ConcatDataset) and len(concat) == 5 and concat[3]['sample_idx'] == 0
    assert isinstance(repeat, RepeatDataset) and len(repeat) == 12 and repeat[4]['sample_idx'] == 1
    assert concat.metainfo == repeat.metainfo == BaseSegDataset(metainfo=config['metainfo'], lazy_init=True).metainfo
    assert mix(concat, 'TakeNext')[0]['partners'] == [1, 0]

    with pytest.raises((TypeError, ValueError), match='first dataset'):  # which key it meets first is up to a set
        ConcatDataset([CityscapesDataset(lazy_init=True),
                       CityscapesDataset(lazy_init=True, metainfo=dict(classes=('road', )))], lazy_init=True)
