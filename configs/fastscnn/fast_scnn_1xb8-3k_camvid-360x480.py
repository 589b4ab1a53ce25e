# From random weights, small enough for two CPU cores
_base_ = [
    '../_base_/models/fast_scnn.py',
    '../_base_/datasets/camvid.py',
    '../_base_/schedules/schedule_20k.py',
    '../_base_/default_runtime.py'
]
data_preprocessor = dict(size=_base_.crop_size)
model = dict(
    data_preprocessor=data_preprocessor,
    decode_head=dict(num_classes=11, loss_decode=dict(use_sigmoid=False)),
    auxiliary_head=[
        dict(head, num_classes=11, loss_decode=dict(type='CrossEntropyLoss', loss_weight=0.4))
        for head in _base_.model.auxiliary_head
    ])
optimizer = dict(lr=0.045, weight_decay=4e-5)
optim_wrapper = dict(optimizer=optimizer)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=200, by_epoch=False),
    dict(type='PolyLR', eta_min=1e-4, power=0.9, begin=200, end=3000, by_epoch=False)
]
train_cfg = dict(max_iters=3000, val_interval=500)
default_hooks = dict(checkpoint=dict(interval=500, save_best='mIoU'))
