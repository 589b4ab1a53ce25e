# SETR, https://arxiv.org/abs/2012.15840, multi-level aggregation: four layers of a ViT-Large
_base_ = './encoder_decoder.py'
norm_cfg = _base_.norm_cfg
model = dict(
    pretrained=None,
    backbone=dict(
        type='VisionTransformer',
        img_size=(768, 768),
        patch_size=16,
        in_channels=3,
        embed_dims=1024,
        num_layers=24,
        num_heads=16,
        out_indices=(5, 11, 17, 23),
        drop_rate=0.0,
        norm_cfg=dict(type='LN', eps=1e-6, requires_grad=True),
        with_cls_token=False,
        interpolate_mode='bilinear',
        init_cfg=dict(type='Pretrained', checkpoint='pretrain/vit_large_p16.pth')),
    neck=dict(
        type='MLANeck',
        in_channels=[1024, 1024, 1024, 1024],
        out_channels=256,
        norm_cfg=norm_cfg,
        act_cfg=dict(type='ReLU')),
    decode_head=dict(
        type='SETRMLAHead',
        in_channels=(256, 256, 256, 256),
        channels=512,
        in_index=(0, 1, 2, 3),
        dropout_ratio=0,
        mla_channels=128),
    auxiliary_head=[
        dict(
            type='FCNHead',
            in_channels=256,
            channels=256,
            in_index=index,
            dropout_ratio=0,
            norm_cfg=norm_cfg,
            act_cfg=dict(type='ReLU'),
            num_convs=0,
            kernel_size=1,
            concat_input=False,
            num_classes=19,
            align_corners=False,
            loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=0.4)) for index in range(4)
    ],
    test_cfg=dict(mode='slide', crop_size=(768, 768), stride=(512, 512)))
