# Small enough to learn CamVid from random weights on two CPU cores in half an hour
_base_ = [
    '../_base_/models/fpn_r50.py',
    '../_base_/datasets/camvid.py',
    '../_base_/schedules/schedule_20k.py',
    '../_base_/default_runtime.py'
]
crop_size = (256, 320)
data_preprocessor = dict(size=crop_size)
model = dict(
    data_preprocessor=data_preprocessor,
    pretrained=None,
    backbone=dict(depth=18, stem_channels=48, base_channels=48),
    neck=dict(in_channels=[48, 96, 192, 384], out_channels=96),
    decode_head=dict(in_channels=[96, 96, 96, 96], channels=64, num_classes=11))

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=(480, 360), ratio_range=(0.6, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs')
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=2e-3, weight_decay=0.01),
    clip_grad=dict(max_norm=5.0))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, begin=0, end=100),
    dict(type='PolyLR', eta_min=1e-5, power=0.9, begin=100, end=1400, by_epoch=False)
]
train_cfg = dict(max_iters=1400, val_interval=200)
default_hooks = dict(checkpoint=dict(interval=200, save_best='mIoU'))
