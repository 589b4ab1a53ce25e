"""Images of any bands and type, and labels beyond a byte, from their files through a training step to saved results."""
import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate

from mmseg.datasets import BaseSegDataset
from mmseg.evaluation import IoUMetric
from mmseg.registry import MODELS

HEIGHT, WIDTH, CROP = 40, 52, (32, 32)


def network(bands, num_classes=3, ignore_index=255, **preprocessor):
    norm = dict(type='BN')
    return MODELS.build(dict(
        type='EncoderDecoder',
        data_preprocessor=dict(type='SegDataPreProcessor', size=CROP, seg_pad_val=ignore_index, **preprocessor),
        backbone=dict(type='ResNetV1c', depth=18, in_channels=bands, base_channels=8, stem_channels=8, num_stages=2,
                      strides=(1, 2), dilations=(1, 1), out_indices=(0, 1), norm_cfg=norm),
        decode_head=dict(type='FCNHead', in_channels=16, in_index=1, channels=8, num_convs=1, num_classes=num_classes,
                         norm_cfg=norm, ignore_index=ignore_index, loss_decode=dict(type='CrossEntropyLoss')),
        test_cfg=dict(mode='whole')))


def pipeline(loader, ignore_index=255, train=True):
    augment = [dict(type='RandomResize', scale=(WIDTH, HEIGHT), ratio_range=(0.7, 1.5), keep_ratio=True),
               dict(type='RandomCrop', crop_size=CROP, cat_max_ratio=0.75, ignore_index=ignore_index),
               dict(type='RandomFlip', prob=0.5),
               dict(type='RandomRotate', prob=0.5, degree=10, seg_pad_val=ignore_index)]
    return [loader, dict(type='LoadAnnotations'), *(augment if train else []), dict(type='PackSegInputs')]


def write_tiff(path, image):
    import tifffile
    tifffile.imwrite(path, image, photometric='minisblack', **({'planarconfig': 'contig'} if image.ndim == 3 else {}))


def write_png(path, image):
    assert cv2.imwrite(str(path), image)


UNCHANGED = dict(type='LoadImageFromFile', color_type='unchanged')
TIFFFILE = dict(UNCHANGED, imdecode_backend='tifffile')
REMOTE = dict(type='LoadSingleRSImageFromFile')
CASES = {
    '1 band, 8 bits, PNG': (1, np.uint8, '.png', dict(type='LoadImageFromFile', color_type='grayscale')),
    '1 band, 16 bits, PNG': (1, np.uint16, '.png', UNCHANGED),
    '3 bands, 8 bits, PNG': (3, np.uint8, '.png', dict(type='LoadImageFromFile')),
    '3 bands, 16 bits, PNG': (3, np.uint16, '.png', UNCHANGED),
    '4 bands, 8 bits, PNG': (4, np.uint8, '.png', UNCHANGED),
    '4 bands, 16 bits, TIFF': (4, np.uint16, '.tif', UNCHANGED),
    '7 bands, 8 bits, TIFF': (7, np.uint8, '.tif', TIFFFILE),
    '13 bands, 16 bits, TIFF': (13, np.uint16, '.tif', REMOTE),
    '1 band, floats, TIFF': (1, np.float32, '.tif', UNCHANGED),
    '3 bands, floats, TIFF': (3, np.float32, '.tif', REMOTE),
    '12 bands, floats, TIFF': (12, np.float32, '.tif', TIFFFILE),
    '25 bands, floats, npy': (25, np.float32, '.npy', dict(type='LoadImageFromNpyFile')),
}


@pytest.mark.parametrize('case', CASES)
def test_from_the_file_to_the_first_convolution_and_back(case, tmp_path):
    bands, dtype, suffix, loader = CASES[case]
    if suffix == '.tif':
        pytest.importorskip('tifffile')
    rng = np.random.default_rng(0)
    level = {np.uint8: 200, np.uint16: 9000, np.float32: 1}[dtype]
    means = level * (0.3 + 0.4 * np.arange(bands) / bands)  # each band has a level of its own
    write = dict(zip(('.png', '.tif', '.npy'), (write_png, write_tiff, np.save)))[suffix]
    for name in 'ab':
        image = rng.normal(means, level / 10, (HEIGHT, WIDTH, bands)).clip(0).astype(dtype)
        write(tmp_path / f'{name}{suffix}', image[..., 0] if bands == 1 else image)
        write_png(tmp_path / f'{name}_mask.png', rng.integers(0, 3, (HEIGHT, WIDTH), np.uint8))

    dataset = BaseSegDataset(data_root=str(tmp_path), img_suffix=suffix, seg_map_suffix='_mask.png',
                             metainfo=dict(classes=('x', 'y', 'z')), pipeline=pipeline(loader))
    batch = pseudo_collate([dataset[0], dataset[1]])
    assert all(image.shape[0] == bands for image in batch['inputs'])
    model = network(bands, mean=means.tolist(), std=[level / 10] * bands)
    seen = model.data_preprocessor(batch, training=True)
    assert seen['inputs'].shape == (2, bands, *CROP) and seen['inputs'].dtype == torch.float32
    # normalised with its own mean and deviation, every band has its levels about 0; rotated corners are black
    middle = seen['inputs'][:, :, 12:20, 12:20]
    assert middle.mean((0, 2, 3)).abs().max() < 0.6 and 0.3 < middle.std() < 1.5
    loss = model.loss(**seen)['decode.loss_ce']
    loss.backward()
    weight = next(model.backbone.parameters())
    assert torch.isfinite(loss) and weight.shape[1] == bands and weight.grad.abs().sum() > 0

    dataset = BaseSegDataset(data_root=str(tmp_path), img_suffix=suffix, seg_map_suffix='_mask.png',
                             metainfo=dict(classes=('x', 'y', 'z')), pipeline=pipeline(loader, train=False))
    with torch.no_grad():
        result = model.eval().test_step(pseudo_collate([dataset[0]]))[0]
    assert result.pred_sem_seg.shape == (HEIGHT, WIDTH)


def test_three_hundred_classes_from_the_file_to_the_saved_result(tmp_path):
    """Labels of 16 bits, 65535 ignored: none of them is cut to a byte anywhere."""
    count, ignored = 300, 65535
    labels = (np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) % count).astype(np.uint16)
    labels[::5] = ignored
    for name in 'ab':
        write_png(tmp_path / f'{name}.jpg', np.full((HEIGHT, WIDTH, 3), 100, np.uint8))
        write_png(tmp_path / f'{name}.png', labels)
    metainfo = dict(classes=tuple(map(str, range(count))))

    def data_set(steps, **kwargs):
        return BaseSegDataset(data_root=str(tmp_path), metainfo=metainfo, ignore_index=ignored, pipeline=steps,
                              **kwargs)

    loader = dict(type='LoadImageFromFile')
    model = network(3, count, ignored)
    batch = model.data_preprocessor(pseudo_collate(
        [data_set(pipeline(loader, ignored))[0] for _ in range(2)]), training=True)
    seen = torch.cat([sample.gt_sem_seg.data for sample in batch['data_samples']])
    assert set(seen.unique().tolist()) <= {*range(count), ignored} and (seen == ignored).any()
    assert ((seen > 255) & (seen < count)).any()
    losses = model.loss(**batch)
    assert torch.isfinite(losses['decode.loss_ce'])

    model.eval()
    test = data_set(pipeline(loader, train=False))
    assert test[0]['data_samples'].gt_sem_seg.data[0].tolist() == labels.tolist()
    torch.nn.init.zeros_(model.decode_head.conv_seg.weight)
    model.decode_head.conv_seg.bias.data = torch.zeros(count)
    model.decode_head.conv_seg.bias.data[290] = 1  # the answer is 290 everywhere
    metric = IoUMetric(ignore_index=ignored, output_dir=str(tmp_path / 'out'))
    metric.dataset_meta = test.metainfo
    for index in range(2):
        with torch.no_grad():
            samples = model.test_step(pseudo_collate([test[index]]))
        metric.process({}, [sample.to_dict() for sample in samples])
    right = int((labels == 290).sum())
    assert metric.evaluate(2)['aAcc'] == pytest.approx(100 * right / int((labels != ignored).sum()), abs=0.01)
    saved = cv2.imread(str(tmp_path / 'out' / 'a.png'), cv2.IMREAD_UNCHANGED)
    assert saved.dtype == np.uint16 and (saved == 290).all()


def test_some_of_three_hundred_classes(tmp_path):
    """A label map and reduce_zero_label keep the numbers of 16 bits and the data set's own ignore_index."""
    labels = np.array([[0, 1, 256, 300, 65535]], np.uint16)
    write_png(tmp_path / 'a.jpg', np.zeros((1, 5, 3), np.uint8))
    write_png(tmp_path / 'a.png', labels)

    class Many(BaseSegDataset):
        METAINFO = dict(classes=tuple(map(str, range(301))))

    def read(**kwargs):
        steps = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
        return Many(data_root=str(tmp_path), ignore_index=65535, pipeline=steps, **kwargs)[0]['gt_seg_map'].tolist()

    assert read() == labels.tolist()
    assert read(reduce_zero_label=True) == [[65535, 0, 255, 299, 65535]]
    assert read(metainfo=dict(classes=('300', '1'))) == [[65535, 1, 65535, 0, 65535]]


def test_bytes_are_left_out_by_the_number_of_the_data_set(tmp_path):
    write_png(tmp_path / 'a.jpg', np.zeros((1, 4, 3), np.uint8))
    write_png(tmp_path / 'a.png', np.array([[0, 1, 2, 254]], np.uint8))
    data_set = BaseSegDataset(data_root=str(tmp_path), ignore_index=254, reduce_zero_label=True, pipeline=[
        dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')])
    assert data_set[0]['gt_seg_map'].tolist() == [[254, 0, 1, 254]]
