_base_ = [
    '../_base_/models/setr_naive.py',
    '../_base_/datasets/cityscapes_768x768.py',
    '../_base_/schedules/schedule_80k.py',
    '../_base_/default_runtime.py'
]
data_preprocessor = dict(size=_base_.crop_size)
model = dict(
    data_preprocessor=data_preprocessor,
    auxiliary_head=[dict(head, num_convs=1, up_scale=4) for head in _base_.model.auxiliary_head])
train_dataloader = dict(batch_size=1)
optimizer = dict(weight_decay=0.0)
optim_wrapper = dict(
    optimizer=optimizer,
    paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=10.0))))
