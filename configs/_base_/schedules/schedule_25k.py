# The schedule of VPD: half of the time to warm up, half to decay to a ratio of the peak
_base_ = './schedule_20k.py'
optimizer = dict(type='AdamW', lr=0.001, weight_decay=0.1)
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    constructor='ForceDefaultOptimWrapperConstructor',
    optimizer=optimizer,
    paramwise_cfg=dict(
        bias_decay_mult=0,
        force_default_settings=True,
        custom_keys={
            'backbone.encoder_vq': dict(lr_mult=0),
            'backbone.unet': dict(lr_mult=0.01)
        }),
    clip_grad=None)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.03, begin=0, end=12000, by_epoch=False),
    dict(type='PolyLRRatio', eta_min_ratio=0.03, power=0.9, begin=12000, end=24000, by_epoch=False),
    dict(type='ConstantLR', factor=1, begin=24000, end=25000, by_epoch=False)
]
train_cfg = dict(max_iters=25000, val_interval=1000)
default_hooks = dict(checkpoint=dict(save_best='rmse', rule='less', max_keep_ckpts=1))
