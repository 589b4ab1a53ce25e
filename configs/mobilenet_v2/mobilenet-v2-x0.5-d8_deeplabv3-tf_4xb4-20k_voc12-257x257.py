# TensorFlow's DeepLabV3 for mobile devices, whose weights tools/model_converters/deeplabv3_mobilenetv2_tf2mmseg.py
# renames: half the channels, batch normalisations folded into the convolutions, image pooling beside one 1x1 branch,
# and whatever the image, its sides resized to 257.
_base_ = [
    '../_base_/models/encoder_decoder.py',
    '../_base_/datasets/pascal_voc12.py',
    '../_base_/schedules/schedule_20k.py',
    '../_base_/default_runtime.py'
]
crop_size = (257, 257)
data_preprocessor = dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5], size=crop_size)
model = dict(
    data_preprocessor=data_preprocessor,
    backbone=dict(
        type='MobileNetV2',
        widen_factor=0.5,
        strides=(1, 2, 2, 1, 1, 1, 1),
        dilations=(1, 1, 1, (1, 2, 2, 2), (2, 2, 2), (2, 4, 4), 4),  # each stride's dilation begins after its block
        norm_cfg=None),
    decode_head=dict(
        type='ASPPHead',
        in_channels=160,
        in_index=3,
        channels=256,
        dilations=(1, ),
        num_classes=21,
        norm_cfg=None,
        align_corners=True))
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=(514, 514), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs')
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=crop_size, keep_ratio=False),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs')
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
