# The schedule of SAN on COCO-Stuff: mixed precision, a slow CLIP, and looks at the last iterations alone
_base_ = './schedule_20k.py'
optim_wrapper = dict(
    _delete_=True,
    type='AmpOptimWrapper',
    optimizer=dict(type='AdamW', lr=0.0001, betas=(0.9, 0.999), weight_decay=0.0001),
    paramwise_cfg=dict(
        custom_keys=dict(
            img_encoder=dict(lr_mult=0.1, decay_mult=1.0),
            pos_embed=dict(decay_mult=0.0),
            cls_token=dict(decay_mult=0.0),
            norm=dict(decay_mult=0.0))),
    loss_scale='dynamic',
    clip_grad=dict(max_norm=0.01, norm_type=2))
param_scheduler = [dict(type='PolyLR', eta_min=0.0, power=1.0, begin=0, end=60000, by_epoch=False)]
train_cfg = dict(max_iters=60000, val_interval=500, val_begin=55000)
default_hooks = dict(checkpoint=dict(interval=10000, save_best='mIoU'))
