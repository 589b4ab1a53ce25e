"""What the networks are handed."""
import numpy as np
import pytest
import torch

from mmseg.datasets.transforms import PackSegInputs


@pytest.mark.parametrize('bands', [None, 1, 3, 4, 7])
@pytest.mark.parametrize('dtype, packed_type', [(np.uint8, torch.uint8), (np.float32, torch.float32),
                                                (np.uint16, torch.int32)])
def test_images_become_contiguous_planes(bands, dtype, packed_type, make_results):
    image = make_results(bands=bands, dtype=dtype)['img']
    views = {'whole': image, 'flipped': image[:, ::-1], 'part': image[3:20, 5:40],
             'planes first': np.ascontiguousarray(np.atleast_3d(image).transpose(2, 0, 1)).transpose(1, 2, 0)}
    for view in views.values():
        inputs = PackSegInputs()(dict(img=view))['inputs']
        assert inputs.dtype == packed_type
        assert inputs.is_contiguous()
        expected = np.atleast_3d(view).transpose(2, 0, 1)
        np.testing.assert_array_equal(inputs.numpy(), expected)


def test_volumes_stay_as_they_are():
    volume = np.random.default_rng(0).random((2, 4, 5, 6), np.float32)
    packed = PackSegInputs()(dict(img=volume))
    np.testing.assert_array_equal(packed['inputs'].numpy(), volume)


def test_labels_edges_and_depth(make_results):
    results = make_results()
    results['gt_edge_map'] = (results['gt_seg_map'] == 1).astype(np.uint8)
    results['gt_depth_map'] = np.full((47, 61), 1.5, np.float32)
    sample = PackSegInputs()(results)['data_samples']
    assert sample.gt_sem_seg.data.dtype == sample.gt_edge_map.data.dtype == torch.int64
    for field in (sample.gt_sem_seg, sample.gt_edge_map, sample.gt_depth_map):
        assert field.data.shape == (1, 47, 61)
    np.testing.assert_array_equal(sample.gt_sem_seg.data[0].numpy(), results['gt_seg_map'])
    assert sample.gt_depth_map.data.dtype == torch.float32


def test_labels_of_another_shape_warn_and_stay():
    label = np.random.default_rng(0).integers(0, 3, (4, 5, 6))
    with pytest.warns(UserWarning, match=r'gt_seg_map has shape \(4, 5, 6\), usually it is height x width'):
        sample = PackSegInputs()(dict(gt_seg_map=label))['data_samples']
    np.testing.assert_array_equal(sample.gt_sem_seg.data.numpy(), label)


def test_meta_keys_that_are_there_are_kept(make_results):
    sample = PackSegInputs()(dict(make_results(), flip=True, unknown=1))['data_samples']
    assert sample.metainfo == dict(img_path='a.jpg', seg_map_path='a.png', ori_shape=(47, 61), img_shape=(47, 61),
                                   flip=True, reduce_zero_label=False)
    sample = PackSegInputs(meta_keys=('unknown',))(dict(make_results(), unknown=1))['data_samples']
    assert sample.metainfo == dict(unknown=1)


def test_labels_are_a_copy(make_results):
    results = make_results()
    sample = PackSegInputs()(results)['data_samples']
    results['gt_seg_map'][:] = 9
    assert not (sample.gt_sem_seg.data == 9).any()
