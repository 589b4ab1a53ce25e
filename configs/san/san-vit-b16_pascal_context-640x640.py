# The loss still weighs 171 classes, as published: to train, set its `class_weight`
_base_ = [
    '../_base_/models/san_vit-b16.py',
    '../_base_/datasets/pascal_context_59_640x640.py',
    '../_base_/schedules/schedule_160k_adamw.py',
    '../_base_/default_runtime.py'
]
model = dict(text_encoder=dict(dataset_name='pascal_context'), decode_head=dict(num_classes=59))
train_dataloader = dict(batch_size=2)
optim_wrapper = dict(
    paramwise_cfg=dict(
        custom_keys=dict(pos_embed=dict(decay_mult=0.0), cls_token=dict(decay_mult=0.0), norm=dict(decay_mult=0.0))))
