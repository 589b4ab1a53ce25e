# The schedule of schedule_160k_mask2former.py in 90000 iterations
_base_ = './schedule_20k.py'
optimizer = dict(type='AdamW', lr=0.0001, weight_decay=0.05, eps=1e-8, betas=(0.9, 0.999))
embed_multi = dict(lr_mult=1.0, decay_mult=0.0)
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=optimizer,
    clip_grad=dict(max_norm=0.01, norm_type=2),
    paramwise_cfg=dict(
        custom_keys=dict(
            backbone=dict(lr_mult=0.1, decay_mult=1.0),
            query_embed=embed_multi,
            query_feat=embed_multi,
            level_embed=embed_multi),
        norm_decay_mult=0.0))
param_scheduler = [dict(type='PolyLR', eta_min=0, power=0.9, begin=0, end=90000, by_epoch=False)]
train_cfg = dict(max_iters=90000, val_interval=5000)
default_hooks = dict(checkpoint=dict(interval=5000, save_best='mIoU'))
# The learning rate is meant for 8 GPUs with 2 images each; `enable=True` scales it to another batch
auto_scale_lr = dict(enable=False, base_batch_size=16)
