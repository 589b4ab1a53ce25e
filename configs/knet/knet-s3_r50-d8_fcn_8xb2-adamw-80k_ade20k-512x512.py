_base_ = [
    '../_base_/models/knet-s3_r50-d8.py',
    '../_base_/datasets/ade20k.py',
    '../_base_/schedules/schedule_80k_adamw_step.py',
    '../_base_/default_runtime.py'
]
data_preprocessor = dict(size=_base_.crop_size)
model = dict(
    data_preprocessor=data_preprocessor,
    decode_head=dict(kernel_generate_head=dict(type='FCNHead', num_convs=2, concat_input=True)))
train_dataloader = dict(batch_size=2, num_workers=2)
