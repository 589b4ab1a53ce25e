"""Facts of 1.x: results, meta data and texts of transforms on a small image (tests/data/transforms.json)."""
import json
from pathlib import Path

import numpy as np
import pytest
from mmengine.registry import DefaultScope

from mmseg.datasets import transforms
from mmseg.registry import TRANSFORMS

DATA = Path(__file__).parents[2] / 'data'
FACTS = json.loads((DATA / 'transforms.json').read_text())
NAMES = [
    'AdjustGamma', 'Albu', 'BioMedical3DPad', 'BioMedical3DRandomCrop', 'BioMedical3DRandomFlip',
    'BioMedicalGaussianBlur', 'BioMedicalGaussianNoise', 'BioMedicalRandomGamma', 'CLAHE', 'ConcatCDInput',
    'GenerateEdge', 'InferencerLoader', 'LoadAnnotations', 'LoadBiomedicalAnnotation', 'LoadBiomedicalData',
    'LoadBiomedicalImageFromFile', 'LoadDepthAnnotation', 'LoadImageFromNDArray', 'LoadMultipleRSImageFromFile',
    'LoadSingleRSImageFromFile', 'PackSegInputs', 'PhotoMetricDistortion', 'RGB2Gray', 'RandomCrop', 'RandomCutOut',
    'RandomDepthMix', 'RandomFlip', 'RandomMosaic', 'RandomRotFlip', 'RandomRotate', 'Rerange', 'Resize',
    'ResizeShortestEdge', 'ResizeToMultiple', 'SegRescale']


def tuples(value):
    """JSON lists back to the tuples that the configs hold."""
    if isinstance(value, dict):
        return {key: tuples(item) for key, item in value.items()}
    return tuple(map(tuples, value)) if isinstance(value, list) else value


def lists(value):
    return [lists(item) for item in value] if isinstance(value, (list, tuple)) else value


def check_array(array, fact):
    assert list(array.shape) == fact['shape']
    assert str(array.dtype) == fact['dtype']
    samples = array.ravel()[np.random.default_rng(7).integers(0, array.size, 40)].astype(float)
    tolerance = 1 if array.dtype == np.uint8 else 1e-9  # one grey level: between versions of OpenCV
    assert np.abs(samples - fact['samples']).max() <= tolerance
    assert abs(array.sum(dtype=float) - fact['sum']) <= 2e-4 * fact['sum']


@pytest.mark.parametrize('fact', FACTS, ids=lambda fact: f'{fact["type"]}-{len(fact["kwargs"])}')
def test_results_are_those_of_1x(fact):
    with DefaultScope.overwrite_default_scope('mmseg'):
        transform = TRANSFORMS.build(dict(type=fact['type'], **tuples(fact['kwargs'])))
    assert repr(transform) == fact.get('repr', repr(transform))
    results = dict(img=np.random.default_rng(3).integers(0, 255, (47, 61, 3), np.uint8),
                   gt_seg_map=np.random.default_rng(4).integers(0, 6, (47, 61), np.uint8),
                   img_shape=(47, 61), ori_shape=(47, 61), seg_fields=['gt_seg_map'])
    np.random.seed(fact['seed'])
    results = transform(results)
    for key, value in fact['out'].items():
        if isinstance(value, dict):
            check_array(results[key], value)
        else:
            assert lists(results[key]) == value, key


@pytest.mark.parametrize('name', NAMES)
def test_each_name_is_registered_and_importable_as_in_1x(name):
    found = TRANSFORMS.get(name)
    assert found.__name__ == name
    assert found is getattr(transforms, name)
    old_module = {'PackSegInputs': 'formatting'}.get(name, 'loading' if 'Load' in name else 'transforms')
    module = __import__(f'mmseg.datasets.transforms.{old_module}', fromlist=[name])
    assert getattr(module, name) is found


def test_transforms_of_mmcv_are_found_too():
    assert TRANSFORMS.get('RandomResize').__module__.startswith('mmcv')
    assert TRANSFORMS.get('Resize').__module__.startswith('mmseg')


@pytest.mark.parametrize('name, kwargs, text', [
    ('PhotoMetricDistortion', {}, 'PhotoMetricDistortion(brightness_delta=32, contrast_range=(0.5, 1.5), '
                                  'saturation_range=(0.5, 1.5), hue_delta=18)'),
    ('LoadAnnotations', {}, "LoadAnnotations(reduce_zero_label=None, imdecode_backend='pillow', backend_args=None)"),
    ('RandomCrop', dict(crop_size=8, cat_max_ratio=0.5), 'RandomCrop(crop_size=(8, 8))'),
    ('ResizeToMultiple', {}, 'ResizeToMultiple(size_divisor=32, interpolation=None)'),
    ('SegRescale', {}, 'SegRescale(scale_factor=1)'),
    ('RandomRotFlip', {}, 'RandomRotFlip(rotate_prob=0.5, flip_prob=0.5, degree=(-20, 20))'),
    ('RandomCutOut', dict(prob=0.5, n_holes=2, cutout_ratio=(0.1, 0.2)),
     'RandomCutOut(prob=0.5, n_holes=(2, 2), cutout_ratio=[(0.1, 0.2)], fill_in=(0, 0, 0), seg_fill_in=None)'),
    ('RandomMosaic', dict(prob=0.5), 'RandomMosaic(prob=0.5, img_scale=(640, 640), center_ratio_range=(0.5, 1.5), '
                                     'pad_val=0, seg_pad_val=255)'),
    ('PackSegInputs', dict(meta_keys=('a', )), "PackSegInputs(meta_keys=('a',))"),
    ('BioMedicalGaussianNoise', {}, 'BioMedicalGaussianNoise(prob=0.1, mean=0.0, std=0.1)'),
])
def test_the_options_are_printed(name, kwargs, text):
    assert repr(TRANSFORMS.get(name)(**kwargs)) == text


@pytest.mark.parametrize('name, kwargs, words', [
    ('RandomRotate', dict(prob=2, degree=3), 'RandomRotate: found prob=2, expected a probability'),
    ('RandomRotate', dict(prob=1, degree=-3), 'found degree=-3, expected a positive angle'),
    ('RandomCrop', dict(crop_size=(0, 5)), 'found crop_size=.0, 5., expected a height and a width of at least 1'),
    ('RandomCutOut', dict(prob=1, n_holes=1), 'found cutout_shape=None and cutout_ratio=None, expected one of the two'),
    ('RandomCutOut', dict(prob=1, n_holes=1, cutout_shape=(2, 2), seg_fill_in=300), 'seg_fill_in=300'),
    ('AdjustGamma', dict(gamma=0), 'found gamma=0, expected a positive number'),
    ('Rerange', dict(min_value=3, max_value=3), 'expected the first to be smaller'),
    ('BioMedical3DPad', dict(pad_shape=None), 'pad_shape=None'),
    ('BioMedical3DRandomFlip', dict(prob=0.5, axes=(0, 3)), 'axes=.0, 3., expected some of 0, 1 and 2'),
])
def test_a_wrong_option_is_named(name, kwargs, words):
    with pytest.raises(ValueError, match=words):
        TRANSFORMS.get(name)(**kwargs)
