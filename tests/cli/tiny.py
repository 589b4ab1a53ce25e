"""A data set of six images, a network that fits on a fingernail and a config of both, for tests of commands."""
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

CLASSES, PALETTE = ('ground', 'box', 'stripe'), [[90, 60, 30], [200, 40, 40], [40, 40, 220]]
HEIGHT, WIDTH = 48, 64
CONFIG = '''
custom_imports = None
crop_size = (32, 32)
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(type='SegDataPreProcessor', mean=[120.] * 3, std=[60.] * 3, bgr_to_rgb=True, size=crop_size),
    backbone=dict(type='ResNetV1c', depth=18, base_channels=8, stem_channels=8, num_stages=2, strides=(1, 2),
                  dilations=(1, 1), out_indices=(0, 1), norm_cfg=dict(type='SyncBN')),
    decode_head=dict(type='FCNHead', in_channels=16, in_index=1, channels=8, num_convs=1, num_classes=3,
                     norm_cfg=dict(type='SyncBN'), loss_decode=dict(type='CrossEntropyLoss')),
    test_cfg=dict(mode='whole'))
train_pipeline = [
    dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='RandomCrop', crop_size=crop_size),
    dict(type='PackSegInputs')]
test_pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='TestTimeAug', transforms=[
        [dict(type='RandomFlip', prob=0.), dict(type='RandomFlip', prob=1.)],
        [dict(type='LoadAnnotations')], [dict(type='PackSegInputs')]])]
tta_model = dict(type='SegTTAModel')
data_root = {data_root!r}
metainfo = dict(classes={classes}, palette={palette})
train_dataloader = dict(
    batch_size=2, num_workers=0, sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(type='BaseSegDataset', data_root=data_root, metainfo=metainfo, img_suffix='.png',
                 data_prefix=dict(img_path='images', seg_map_path='labels'), pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='BaseSegDataset', data_root=data_root, metainfo=metainfo, img_suffix='.png',
                 data_prefix=dict(img_path='images', seg_map_path='labels'), pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = test_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.05, momentum=0.9))
param_scheduler = [dict(type='PolyLR', power=0.9, begin=0, end=4, by_epoch=False)]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=2, val_interval=2)
val_cfg, test_cfg = dict(type='ValLoop'), dict(type='TestLoop')
default_scope = 'mmseg'
env_cfg = dict(cudnn_benchmark=False, mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0))
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=1, log_metric_by_epoch=False),
    checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=2),
    visualization=dict(type='SegVisualizationHook'))
visualizer = dict(type='SegLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')], name='visualizer')
log_processor = dict(by_epoch=False)
randomness = dict(seed=0)
'''


def write_project(folder: Path, images: int = 6) -> Path:
    """Write images and labels (255 in the first two rows) into `folder/data/{images,labels}/part` and a config.

    Returns:
        The config.
    """
    rng = np.random.default_rng(0)
    for kind in ('images', 'labels'):
        (folder / 'data' / kind / 'part').mkdir(parents=True)
    for number in range(images):
        labels = np.zeros((HEIGHT, WIDTH), np.uint8)
        top, left = rng.integers(5, 25), rng.integers(5, 35)
        labels[top:top + 15, left:left + 20] = 1
        labels[:, -8 - number:-4 - number] = 2
        labels[:2] = 255
        colors = np.array([*PALETTE, *[[0, 0, 0]] * 253], np.uint8)[labels]
        noisy = np.clip(colors + rng.normal(0, 10, colors.shape), 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / 'data' / 'images' / 'part' / f'{number}.png'), noisy[..., ::-1])
        cv2.imwrite(str(folder / 'data' / 'labels' / 'part' / f'{number}.png'), labels)
    config = folder / 'tiny.py'
    config.write_text(CONFIG.replace('{data_root!r}', repr(str(folder / 'data')))
                      .replace('{classes}', repr(CLASSES)).replace('{palette}', repr(PALETTE)))
    return config


@pytest.fixture(scope='session')
def project(tmp_path_factory) -> Path:
    """The config of a tiny data set, with the checkpoint of an untrained network beside it as `tiny.pth`."""
    import torch

    from mmseg.registry import MODELS
    from mmseg.utils.config import read_config
    config = write_project(tmp_path_factory.mktemp('tiny'))
    torch.manual_seed(0)
    model = MODELS.build(read_config(config).model)
    for module in model.modules():
        if isinstance(module, torch.nn.SyncBatchNorm):
            module.running_var.fill_(0.01)  # an untrained network whose features differ enough to give all classes
    torch.nn.init.normal_(model.decode_head.conv_seg.weight)
    torch.save(dict(state_dict=model.state_dict(), meta=dict(dataset_meta=dict(classes=CLASSES, palette=PALETTE))),
               config.with_suffix('.pth'))
    return config
