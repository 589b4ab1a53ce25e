_base_ = '../deeplabv3/deeplabv3_r50-d8_4xb2-80k_cityscapes-512x1024.py'
model = dict(
    pretrained='mmcls://mobilenet_v2',
    backbone=dict(
        _delete_=True, type='MobileNetV2', widen_factor=1.0, strides=(1, 2, 2, 1, 1, 1, 1),
        dilations=(1, 1, 1, 2, 2, 4, 4), out_indices=(1, 2, 4, 6), norm_cfg=_base_.norm_cfg),
    decode_head=dict(in_channels=320),
    auxiliary_head=dict(in_channels=96))
