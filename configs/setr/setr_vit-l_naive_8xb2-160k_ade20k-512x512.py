_base_ = [
    '../_base_/models/setr_naive.py',
    '../_base_/datasets/ade20k.py',
    '../_base_/schedules/schedule_160k.py',
    '../_base_/default_runtime.py'
]
data_preprocessor = dict(size=_base_.crop_size)
model = dict(
    data_preprocessor=data_preprocessor,
    backbone=dict(img_size=_base_.crop_size),
    decode_head=dict(num_classes=150),
    auxiliary_head=[
        dict(
            type='SETRUPHead', in_channels=1024, channels=256, in_index=0, num_classes=150, dropout_ratio=0,
            norm_cfg=_base_.norm_cfg,
            act_cfg=dict(type='ReLU'),
            num_convs=2, kernel_size=1, align_corners=False,
            loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=0.4)),
        dict(
            type='SETRUPHead', in_channels=1024, channels=256, in_index=1, num_classes=150, dropout_ratio=0,
            norm_cfg=_base_.norm_cfg,
            act_cfg=dict(type='ReLU'),
            num_convs=2, kernel_size=1, align_corners=False,
            loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=0.4)),
        dict(
            type='SETRUPHead', in_channels=1024, channels=256, in_index=2, num_classes=150, dropout_ratio=0,
            norm_cfg=_base_.norm_cfg,
            act_cfg=dict(type='ReLU'),
            num_convs=2, kernel_size=1, align_corners=False,
            loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=0.4))
    ],
    test_cfg=dict(crop_size=_base_.crop_size, stride=(341, 341)))
train_dataloader = dict(batch_size=2)
optimizer = dict(weight_decay=0.0)
optim_wrapper = dict(
    optimizer=optimizer,
    paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=10.0))))
