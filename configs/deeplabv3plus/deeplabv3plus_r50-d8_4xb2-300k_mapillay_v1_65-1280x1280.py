# Crops stay at 512 x 1024, as published: the model pads them to 1280 x 1280
_base_ = [
    '../_base_/models/deeplabv3plus_r50-d8.py',
    '../_base_/datasets/mapillary_v1_65.py',
    '../_base_/schedules/schedule_240k.py',
    '../_base_/default_runtime.py'
]
crop_size = (1280, 1280)
data_preprocessor = dict(size=crop_size)
model = dict(
    data_preprocessor=data_preprocessor,
    decode_head=dict(num_classes=65),
    auxiliary_head=dict(num_classes=65))
optimizer = dict(type='AdamW', lr=0.0001, betas=(0.9, 0.999), weight_decay=0.0001)
optim_wrapper = dict(
    _delete_=True, type='OptimWrapper', optimizer=optimizer,
    clip_grad=dict(max_norm=0.01, norm_type=2),
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.1, decay_mult=1.0))))
param_scheduler = [dict(type='PolyLR', eta_min=0, power=0.9, begin=0, end=300000, by_epoch=False)]
train_cfg = dict(max_iters=300000, val_interval=30000)
default_hooks = dict(checkpoint=dict(interval=30000))
auto_scale_lr = dict(enable=False, base_batch_size=8)
