# Panoptic Feature Pyramid Networks, https://arxiv.org/abs/1901.02446: the semantic branch, without auxiliary loss
_base_ = './resnet50-d8.py'
model = dict(
    _delete_=True,
    type='EncoderDecoder',
    data_preprocessor=_base_.data_preprocessor,
    pretrained=_base_.model.pretrained,
    backbone=dict(_base_.model.backbone, dilations=(1, 1, 1, 1), strides=(1, 2, 2, 2)),
    neck=dict(type='FPN', in_channels=[256, 512, 1024, 2048], out_channels=256, num_outs=4),
    decode_head=dict(
        _base_.model.decode_head,
        type='FPNHead',
        in_channels=[256, 256, 256, 256],
        in_index=[0, 1, 2, 3],
        feature_strides=[4, 8, 16, 32],
        channels=128),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))
