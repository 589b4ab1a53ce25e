import numpy as np
import pytest
import torch
from mmengine.structures import PixelData

from mmseg.models import SegDataPreProcessor
from mmseg.structures import SegDataSample

MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]


def batch(*sizes, bands=3):
    rng = np.random.default_rng(0)
    images = [torch.as_tensor(rng.integers(0, 255, (bands, *size), dtype=np.uint8)) for size in sizes]
    samples = [SegDataSample(gt_sem_seg=PixelData(data=torch.zeros(1, *size, dtype=torch.long))) for size in sizes]
    return dict(inputs=images, data_samples=samples)


def test_bytes_become_normalised_rgb():
    data = batch((4, 6), (4, 6))
    bgr = data['inputs'][1]
    out = SegDataPreProcessor(mean=MEAN, std=STD, bgr_to_rgb=True)(data)['inputs']
    assert out.shape == (2, 3, 4, 6) and out.dtype == torch.float32
    assert torch.equal(out[1, 0], (bgr[2].float() - MEAN[0]) / STD[0])


@pytest.mark.parametrize('options', [dict(size=(8, 10)), dict(size_divisor=5)])
def test_training_images_and_labels_are_padded_right_and_below(options):
    data = batch((4, 6), (7, 6))
    out = SegDataPreProcessor(mean=MEAN, std=STD, pad_val=0, seg_pad_val=255, **options)(data, training=True)
    height, width = options.get('size', (10, 10))
    assert out['inputs'].shape == (2, 3, height, width)
    assert (out['inputs'][0, :, 4:] == 0).all() and (out['inputs'][0, :, :4, :6] != 0).all()
    sample = out['data_samples'][0]
    assert sample.gt_sem_seg.shape == (height, width)
    assert (sample.gt_sem_seg.data == 255).sum() == height * width - 24
    assert sample.metainfo['padding_size'] == (0, width - 6, 0, height - 4)


def test_prediction_pads_only_where_asked():
    plain = SegDataPreProcessor(mean=MEAN, std=STD, size=(8, 10))
    assert plain(batch((4, 6)))['inputs'].shape == (1, 3, 4, 6)
    padded = SegDataPreProcessor(mean=MEAN, std=STD, test_cfg=dict(size_divisor=32))
    out = padded(batch((4, 6), (40, 6)))
    assert out['inputs'].shape == (2, 3, 64, 32)
    assert out['data_samples'][0].metainfo['img_padding_size'] == (0, 26, 0, 60)


@pytest.mark.parametrize('bands', [1, 4, 6])
def test_any_number_of_bands(bands):
    data = batch((4, 6), bands=bands)
    image = data['inputs'][0].float()
    out = SegDataPreProcessor(mean=[10.0] * bands, std=[2.0] * bands, bgr_to_rgb=True)(data)['inputs']
    assert torch.equal(out[0], (image - 10) / 2)


@pytest.mark.parametrize('options, data, words', [
    (dict(mean=MEAN, std=STD), batch((4, 6), bands=4), 'have 4 bands but .* 3 numbers'),
    (dict(), batch((4, 6), (4, 8)), r'\(4, 6\), \(4, 8\)'),
    (dict(mean=MEAN, std=STD[:2]), None, 'one number for each band'),
    (dict(bgr_to_rgb=True, rgb_to_bgr=True), None, 'set one of them'),
])
def test_mistakes_are_told(options, data, words):
    with pytest.raises(ValueError, match=words):
        SegDataPreProcessor(**options)(data)


def test_crop_too_large_for_the_batch_is_told():
    with pytest.raises(ValueError, match='raise `size`'):
        SegDataPreProcessor(size=(4, 6))(batch((5, 6), (4, 6)), training=True)
