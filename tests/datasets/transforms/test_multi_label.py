"""One band for each class."""
import cv2
import numpy as np
import pytest

from mmseg.datasets.transforms import LoadMultiLabelAnnotations, PackMultiLabelInputs
from mmseg.utils.errors import InputError


def test_bands_of_an_array(tmp_path):
    bands = np.zeros((4, 6, 5), np.uint8)
    bands[1:3, 2:4, 1], bands[:, :3, 4], bands[0, :, :] = 1, 1, 255
    np.save(tmp_path / 'x.npy', bands)
    results = LoadMultiLabelAnnotations()(dict(seg_map_path=str(tmp_path / 'x.npy'), ori_shape=(4, 6), seg_fields=[]))
    assert (results['gt_seg_map'] == bands).all() and results['seg_fields'] == ['gt_seg_map']
    packed = PackMultiLabelInputs()(dict(results, img=np.zeros((4, 6, 3), np.uint8)))['data_samples']
    assert (packed.gt_sem_seg.data.numpy() == bands.transpose(2, 0, 1)).all()


def test_painted_bands_are_in_the_order_red_green_blue(tmp_path):
    red = np.zeros((3, 5, 3), np.uint8)
    red[1, 2, 2] = 255  # OpenCV writes blue, green, red
    cv2.imwrite(str(tmp_path / 'x.png'), red)
    loaded = LoadMultiLabelAnnotations(present=255)(dict(seg_map_path=str(tmp_path / 'x.png')))['gt_seg_map']
    assert loaded.sum() == loaded[1, 2, 0] == 1


def test_other_sizes_are_refused(tmp_path):
    np.save(tmp_path / 'x.npy', np.zeros((4, 6, 2), np.uint8))
    with pytest.raises(InputError, match=r'found labels of shape \(4, 6, 2\) for an image of 4 x 7 pixels'):
        LoadMultiLabelAnnotations()(dict(seg_map_path=str(tmp_path / 'x.npy'), ori_shape=(4, 7)))
