"""The joined pipeline gives what its steps give one after the other."""
import copy
import pickle

import cv2
import mmcv.transforms
import numpy as np
import pytest
import torch
from mmengine.dataset import Compose as PlainCompose
from mmengine.registry import DefaultScope

from mmseg.datasets import BaseSegDataset
from mmseg.datasets.transforms import PackSegInputs, PhotoMetricDistortion, RandomCrop, RandomFlip, Resize
from mmseg.datasets.transforms.compose import Compose, CroppedResize

RESIZES = {
    'RandomResize': dict(type='RandomResize', scale=(120, 90), ratio_range=(0.5, 2.0), keep_ratio=True),
    'stretched': dict(type='RandomResize', scale=[(60, 40), (200, 100)], keep_ratio=False),
    'RandomChoiceResize': dict(type='RandomChoiceResize', scales=[(50, 40), (200, 150)], keep_ratio=True),
    'shortest': dict(type='RandomChoiceResize', scales=[30, 70, 90], resize_type='ResizeShortestEdge', max_size=120),
    'Resize': dict(type='Resize', scale_factor=1.7, interpolation='bicubic'),
    'Pillow': dict(type='Resize', scale=(100, 80), backend='pillow'),
}


def assert_same(ours, plain):
    assert ours.keys() == plain.keys()
    for key, value in plain.items():
        if isinstance(value, np.ndarray):
            assert ours[key].dtype == value.dtype
            np.testing.assert_allclose(ours[key], value, rtol=0,
                                       atol=1e-4 if value.dtype.kind == 'f' else 0)
        else:
            assert ours[key] == value, key


@pytest.mark.parametrize('resize', RESIZES, ids=str)
@pytest.mark.parametrize('bands, dtype', [(3, np.uint8), (None, np.uint8), (4, np.uint16), (6, np.float32)])
def test_joined_steps_equal_the_steps(resize, bands, dtype, make_results):
    if resize == 'Pillow' and (bands, dtype) != (3, np.uint8):
        pytest.skip('Pillow resizes 8-bit colours only')
    joined = Compose([RESIZES[resize], dict(type='RandomCrop', crop_size=(40, 56), cat_max_ratio=0.3),
                      dict(type='RandomFlip', prob=0.5)])
    assert type(joined._steps[0]) is CroppedResize
    plain = PlainCompose(joined.transforms)
    for seed in range(12):
        outcomes = []
        for pipeline in (joined, plain):
            np.random.seed(seed)
            outcomes.append((pipeline(make_results(bands=bands, dtype=dtype)), np.random.rand()))
        (ours, ours_next), (theirs, theirs_next) = outcomes
        assert_same(ours, theirs)
        assert ours_next == theirs_next, 'the number of draws differs'


def test_all_that_goes_along_is_cropped(make_results):
    results = make_results()
    results['gt_depth_map'] = np.random.default_rng(0).random((47, 61), np.float32)
    results['seg_fields'].append('gt_depth_map')
    results['gt_bboxes'] = np.array([[1., 2., 30., 40.]])
    pipeline = Compose([dict(type='Resize', scale=(122, 94)), dict(type='RandomCrop', crop_size=20)])
    out = [run(copy.deepcopy(results)) for run in (pipeline, PlainCompose(pipeline.transforms))
           if not np.random.seed(1)]
    assert_same(*out)
    assert out[0]['gt_depth_map'].shape == (20, 20)


class Look:
    """A user's transform that looks at the pixels."""

    def __call__(self, results):
        assert type(results['img']) is np.ndarray and type(results['gt_seg_map']) is np.ndarray
        results['mean'] = results['img'].mean()
        return results


def test_a_step_in_between_sees_pixels(make_results):
    pipeline = Compose([RESIZES['Resize'], Look(), dict(type='RandomCrop', crop_size=20), Look(),
                        dict(type='RandomFlip', prob=1.)])
    assert [type(step).__name__ for step in pipeline._steps] == ['Resize', 'Look', 'RandomCrop', 'Look', 'RandomFlip']
    assert pipeline(make_results())['img'].shape == (20, 20, 3)


def test_subclasses_are_left_alone(make_results):
    class Middle(RandomCrop):
        def crop_bbox(self, results):
            assert type(results['img']) is np.ndarray
            return 10, 20, 10, 20

    class Larger(Resize):
        pass

    resize, crop = Resize(scale=(80, 64)), RandomCrop(20)
    for steps in ([resize, Middle(10)], [Larger(scale=(80, 64)), crop], [mmcv.transforms.Resize(scale=(80, 64)), crop]):
        assert Compose(steps)._steps == steps
    assert Compose([resize, Middle(10)])(make_results())['img'].shape == (10, 10, 3)


def test_transforms_may_be_changed_later(make_results):
    pipeline = Compose([dict(type='Resize', scale=(122, 94)), dict(type='RandomCrop', crop_size=20)])
    pipeline.transforms[1] = RandomCrop(30)
    assert pipeline(make_results())['img'].shape == (30, 30, 3)
    pipeline.transforms.pop()
    assert pipeline(make_results())['img'].shape == (94, 122, 3)
    pipeline.transforms[0].scale = (61, 47)
    assert pipeline(make_results())['img'].shape == (47, 61, 3)


def test_it_is_a_compose_like_another(make_results):
    pipeline = Compose([RESIZES['RandomResize'], dict(type='RandomCrop', crop_size=20)])
    assert repr(pipeline).splitlines() == [
        'Compose(', "    RandomResize(scale=(120, 90), ratio_range=(0.5, 2.0), resize_cfg={'type': 'Resize', "
        "'keep_ratio': True})", '    RandomCrop(crop_size=(20, 20))', ')']
    assert type(pickle.loads(pickle.dumps(pipeline))._steps[0]) is CroppedResize
    assert Compose(None)(3) == 3
    seen = []
    assert Compose([lambda data: None, seen.append])(1) is None
    assert not seen
    with pytest.raises(TypeError):
        Compose([3])


def test_names_are_ours_unless_a_scope_is_set(monkeypatch):
    monkeypatch.setattr(DefaultScope, '_instance_dict', {})
    assert DefaultScope.get_current_instance() is None
    assert type(Compose([RESIZES['RandomResize']]).transforms[0].resize) is Resize
    assert DefaultScope.get_current_instance() is None
    with DefaultScope.overwrite_default_scope('mmengine'):
        assert type(Compose([RESIZES['RandomResize']]).transforms[0].resize) is mmcv.transforms.Resize


def test_data_sets_join_the_steps_of_their_pipelines(tmp_path, make_results):
    results = make_results()
    for folder, suffix, array in (('images', '.png', results['img']), ('labels', '.png', results['gt_seg_map'])):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / f'a{suffix}'), array)
    data_set = BaseSegDataset(
        data_root=str(tmp_path), data_prefix=dict(img_path='images', seg_map_path='labels'), img_suffix='.png',
        metainfo=dict(classes=tuple('abcdef')),
        pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), RESIZES['RandomResize'],
                  dict(type='RandomCrop', crop_size=24, cat_max_ratio=0.75), dict(type='PackSegInputs')])
    assert CroppedResize in map(type, data_set.pipeline._steps)
    np.random.seed(4)
    ours = data_set[0]
    np.random.seed(4)
    plain = PlainCompose(data_set.pipeline.transforms)(data_set.get_data_info(0))
    assert torch.equal(ours['inputs'], plain['inputs'])
    assert torch.equal(ours['data_samples'].gt_sem_seg.data, plain['data_samples'].gt_sem_seg.data)


def test_the_published_pipeline_equals_its_description(make_results):
    """Random draws and pixels of RandomResize, RandomCrop, RandomFlip and PhotoMetricDistortion, said plainly."""
    from tests.datasets.transforms.plain import published_pipeline
    pipeline = Compose([dict(type='RandomResize', scale=(128, 64), ratio_range=(0.5, 2.0), keep_ratio=True),
                        dict(type='RandomCrop', crop_size=(32, 64), cat_max_ratio=0.75), RandomFlip(prob=0.5),
                        PhotoMetricDistortion(), PackSegInputs()])
    for seed in range(30):
        results = make_results(64, 128, seed=seed)
        np.random.seed(seed)
        image, label = published_pipeline(results['img'], results['gt_seg_map'], (128, 64), (32, 64))
        np.random.seed(seed)
        packed = pipeline(results)
        assert torch.equal(packed['inputs'], image)
        assert torch.equal(packed['data_samples'].gt_sem_seg.data, label)
