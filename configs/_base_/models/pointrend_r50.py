# PointRend, https://arxiv.org/abs/1912.08193: after a feature pyramid, a second stage decides the uncertain points anew
_base_ = './resnet50-d8.py'
model = dict(
    _delete_=True,
    type='CascadeEncoderDecoder',
    num_stages=2,
    data_preprocessor=_base_.data_preprocessor,
    pretrained=_base_.model.pretrained,
    backbone=dict(_base_.model.backbone, dilations=(1, 1, 1, 1), strides=(1, 2, 2, 2)),
    neck=dict(type='FPN', in_channels=[256, 512, 1024, 2048], out_channels=256, num_outs=4),
    decode_head=[
        dict(
            _base_.model.decode_head,
            type='FPNHead',
            in_channels=[256, 256, 256, 256],
            in_index=[0, 1, 2, 3],
            feature_strides=[4, 8, 16, 32],
            channels=128,
            dropout_ratio=-1),
        dict(
            type='PointHead',
            in_channels=[256],
            in_index=[0],
            channels=256,
            num_fcs=3,
            coarse_pred_each_layer=True,
            dropout_ratio=-1,
            num_classes=19,
            align_corners=False,
            loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0))
    ],
    train_cfg=dict(num_points=2048, oversample_ratio=3, importance_sample_ratio=0.75),
    test_cfg=dict(mode='whole', subdivision_steps=2, subdivision_num_points=8196, scale_factor=2))
