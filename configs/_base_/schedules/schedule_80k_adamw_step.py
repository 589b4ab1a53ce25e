# AdamW in three steps. Who inherits it adds the learning rate, the weight decay and the clipping of the gradients.
_base_ = './schedule_20k.py'
optim_wrapper = dict(_delete_=True, type='OptimWrapper', optimizer=dict(type='AdamW'))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, begin=0, end=1000, by_epoch=False),
    dict(type='MultiStepLR', milestones=[60000, 72000], begin=1000, end=80000, by_epoch=False)
]
train_cfg = dict(max_iters=80000, val_interval=8000)
default_hooks = dict(checkpoint=dict(interval=8000))
