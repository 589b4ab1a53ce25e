# Change detection: the two pictures of a place, six channels, go in together
_base_ = [
    '../_base_/models/upernet_swin.py',
    '../_base_/datasets/levir_256x256.py',
    '../_base_/schedules/schedule_160k_adamw.py',
    '../_base_/default_runtime.py'
]
data_preprocessor = dict(
    size=_base_.crop_size, mean=_base_.data_preprocessor.mean * 2, std=_base_.data_preprocessor.std * 2)
model = dict(
    data_preprocessor=data_preprocessor,
    backbone=dict(in_channels=6),
    decode_head=dict(num_classes=2),
    auxiliary_head=dict(num_classes=2))
optim_wrapper = dict(
    paramwise_cfg=dict(
        custom_keys=dict(
            absolute_pos_embed=dict(decay_mult=0.0),
            relative_position_bias_table=dict(decay_mult=0.0),
            norm=dict(decay_mult=0.0))))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-06, begin=0, end=1500, by_epoch=False),
    dict(type='PolyLR', eta_min=0.0, power=1.0, begin=1500, end=20000, by_epoch=False)
]
train_cfg = dict(max_iters=20000, val_interval=2000)
default_hooks = dict(checkpoint=dict(interval=2000))
