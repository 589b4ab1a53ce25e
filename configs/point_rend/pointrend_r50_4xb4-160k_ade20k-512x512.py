_base_ = [
    '../_base_/models/pointrend_r50.py',
    '../_base_/datasets/ade20k.py',
    '../_base_/schedules/schedule_160k.py',
    '../_base_/default_runtime.py'
]
data_preprocessor = dict(size=_base_.crop_size)
model = dict(
    data_preprocessor=data_preprocessor,
    decode_head=[dict(head, num_classes=150) for head in _base_.model.decode_head])
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=200, by_epoch=False),
    dict(type='PolyLR', eta_min=0.0001, power=0.9, begin=200, end=160000, by_epoch=False)
]
