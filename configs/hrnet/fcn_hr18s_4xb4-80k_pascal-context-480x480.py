_base_ = [
    '../_base_/models/fcn_hr18s.py',
    '../_base_/datasets/pascal_context.py',
    '../_base_/schedules/schedule_80k.py',
    '../_base_/default_runtime.py'
]
data_preprocessor = dict(size=_base_.crop_size)
model = dict(
    data_preprocessor=data_preprocessor,
    decode_head=dict(num_classes=60),
    test_cfg=dict(mode='slide', crop_size=_base_.crop_size, stride=(320, 320)))
optimizer = dict(lr=0.004, weight_decay=0.0001)
optim_wrapper = dict(optimizer=optimizer)
