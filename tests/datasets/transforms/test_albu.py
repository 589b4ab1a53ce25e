"""Transforms of Albumentations."""
import numpy as np
import pytest

from mmseg.datasets.transforms import Albu

pytest.importorskip('albumentations')


def test_image_and_labels_change_together(make_results):
    results = make_results()
    results['img'][:] = results['gt_seg_map'][..., None]
    results['other'] = 'kept'
    results = Albu([dict(type='HorizontalFlip', p=1.0), dict(type='CenterCrop', height=20, width=30, p=1.0)],
                   update_pad_shape=True)(results)
    assert results['img'].shape == results['pad_shape'] == (20, 30, 3)
    assert results['img_shape'] == results['gt_seg_map'].shape == (20, 30)
    np.testing.assert_array_equal(results['img'][..., 0], results['gt_seg_map'])
    assert results['other'] == 'kept' and 'image' not in results


def test_the_image_is_seen_as_rgb(make_results):
    image = make_results()['img']
    results = Albu([dict(type='ToGray', p=1.0)])(dict(img=image.copy()))
    blue, green, red = image[..., 0], image[..., 1], image[..., 2]
    np.testing.assert_allclose(results['img'][..., 0], 0.299 * red + 0.587 * green + 0.114 * blue, atol=1)


def test_transforms_inside_transforms_and_random_numbers(make_results):
    albu = Albu([dict(type='OneOf', transforms=[dict(type='RandomBrightnessContrast', p=1.0),
                                                dict(type='GaussNoise', p=1.0)], p=1.0)])
    images = []
    for seed in (1, 1, 2):
        np.random.seed(seed)
        images.append(albu(make_results())['img'])
    np.testing.assert_array_equal(images[0], images[1])
    assert not np.array_equal(images[0], images[2])


def test_an_unknown_transform_is_named():
    with pytest.raises(ValueError, match="Albu: found type='Nothing', expected a transform of albumentations"):
        Albu([dict(type='Nothing')])


def test_the_transforms_are_printed():
    assert repr(Albu([dict(type='HorizontalFlip', p=1.0)])) == "Albu(transforms=[{'type': 'HorizontalFlip', 'p': 1.0}])"
