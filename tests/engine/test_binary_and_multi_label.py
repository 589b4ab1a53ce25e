"""Two classes on one channel, and classes that share pixels, train and are evaluated from a config alone."""
import copy
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config

from mmseg.engine import Runner
from tests.cli.tiny import write_project

BCE = dict(type='CrossEntropyLoss', use_sigmoid=True)
PALETTE = [[90, 60, 30], [200, 40, 40], [40, 40, 220]]


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """The config of a tiny data set: labels 0, 1, 2 and 255; `binary` has the boxes, `bands` boxes and left halves."""
    folder = tmp_path_factory.mktemp('shared_pixels')
    config = Config.fromfile(write_project(folder))
    for file in (folder / 'data' / 'labels').rglob('*.png'):
        label = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        left = np.zeros_like(label)
        left[:, :32] = 1
        boxes = np.where(label == 255, 255, label == 1).astype(np.uint8)
        bands = np.stack([boxes, left, np.where(label == 2, 1, 0)], 2).astype(np.uint8)
        name = file.relative_to(folder / 'data' / 'labels')
        for kind in ('binary', 'bands', 'painted'):
            (folder / 'data' / kind / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / 'data' / 'binary' / name), boxes)
        np.save(str((folder / 'data' / 'bands' / name).with_suffix('.npy')), bands)
        cv2.imwrite(str(folder / 'data' / 'painted' / name), np.where(bands[..., ::-1] == 1, 255, 0))
    return config


def config_of(whole, folder: Path, labels: str, classes: tuple, steps: int = 40, **head):
    made = copy.deepcopy(whole)
    dataset = dict(metainfo=dict(classes=classes, palette=PALETTE[:len(classes)]),
                   data_prefix=dict(seg_map_path=labels))
    made.merge_from_dict(dict(
        work_dir=str(folder / 'run'), experiment_name=folder.name, log_level='WARNING', custom_imports=None,
        model=dict(decode_head=dict(num_classes=len(classes), dropout_ratio=0.0, channels=16, **head)),
        train_dataloader=dict(batch_size=4, dataset=dataset), val_dataloader=dict(dataset=dataset),
        train_cfg=dict(max_iters=steps, val_interval=steps),
        optim_wrapper=dict(optimizer=dict(_delete_=True, type='AdamW', lr=0.02)),
        param_scheduler=None))
    return made


def train(config) -> dict:
    runner = Runner.from_cfg(config)
    runner.train()
    return {name: scalar.data[0] for name, scalar in runner.message_hub.log_scalars.items()}


@pytest.mark.parametrize('loss', [
    BCE, dict(type='DiceLoss', mask_ignored=True), dict(type='FocalLoss', loss_weight=10.0), dict(type='TverskyLoss'),
    dict(type='LovaszLoss', loss_type='binary', reduction='none'), dict(type='OhemCrossEntropy', min_kept=1000),
    [BCE, dict(type='DiceLoss', loss_weight=3.0)],
], ids=lambda loss: '+'.join(part['type'] for part in (loss if isinstance(loss, list) else [loss])))
def test_one_channel_learns_class_1(whole, tmp_path, loss):
    config = config_of(whole, tmp_path, 'binary', ('ground', 'box'), out_channels=1, threshold=0.5, loss_decode=loss)
    config.val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU', 'mDice'])
    found = train(config)
    assert found['val/mIoU'][-1] > 75, found['val/mIoU']  # all ground is 43
    assert found['train/decode.acc_seg'][-1] > 90 and found['train/loss'][-1] < found['train/loss'][0]


def test_the_pixel_sampler_works_with_one_channel(whole, tmp_path):
    sampler = dict(type='OHEMPixelSampler', thresh=0.7, min_kept=200)
    found = train(config_of(whole, tmp_path, 'binary', ('ground', 'box'), out_channels=1, loss_decode=BCE,
                            sampler=sampler))
    assert found['val/mIoU'][-1] > 70


@pytest.mark.parametrize('labels, loader, suffix', [
    ('bands', dict(type='LoadMultiLabelAnnotations'), '.npy'),
    ('painted', dict(type='LoadMultiLabelAnnotations', present=255), '.png')])
def test_classes_may_share_pixels(whole, tmp_path, labels, loader, suffix):
    config = config_of(whole, tmp_path, labels, ('box', 'left', 'stripe'), steps=60, threshold=0.5,
                       loss_decode=dict(BCE, avg_non_ignore=True))
    for part in ('train_dataloader', 'val_dataloader'):
        dataset = config[part].dataset
        dataset.seg_map_suffix = suffix
        dataset.pipeline = [dict(type='LoadImageFromFile'), loader, *(
            [dict(type='RandomFlip', prob=0.5, direction='vertical')] if part.startswith('train') else []),
            dict(type='PackMultiLabelInputs')]
    config.model.data_preprocessor.size = (48, 64)
    config.val_evaluator = dict(type='MultiLabelIoUMetric')
    found = train(config)
    assert found['val/mIoU'][-1] > 60, found['val/mIoU']
    assert found['train/decode.acc_seg'][-1] > 85
