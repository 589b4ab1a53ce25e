_base_ = [
    '../_base_/models/stdc.py',
    '../_base_/datasets/cityscapes.py',
    '../_base_/schedules/schedule_80k.py',
    '../_base_/default_runtime.py'
]
data_preprocessor = dict(size=_base_.crop_size)
model = dict(data_preprocessor=data_preprocessor)
train_dataloader = dict(batch_size=12, num_workers=4)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=1000, by_epoch=False),
    dict(type='PolyLR', eta_min=0.0001, power=0.9, begin=1000, end=80000, by_epoch=False)
]
