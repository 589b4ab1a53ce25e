# SETR, https://arxiv.org/abs/2012.15840, naive upsampling: one step of 4
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
        out_indices=(9, 14, 19, 23),
        drop_rate=0.0,
        norm_cfg=dict(type='LN', eps=1e-6, requires_grad=True),
        with_cls_token=True,
        interpolate_mode='bilinear',
        init_cfg=dict(type='Pretrained', checkpoint='pretrain/vit_large_p16.pth')),
    decode_head=dict(
        type='SETRUPHead',
        in_channels=1024,
        channels=256,
        in_index=3,
        dropout_ratio=0,
        num_convs=1,
        up_scale=4,
        kernel_size=1),
    auxiliary_head=[
        dict(
            type='SETRUPHead',
            in_channels=1024,
            channels=256,
            in_index=index,
            num_classes=19,
            dropout_ratio=0,
            norm_cfg=norm_cfg,
            act_cfg=dict(type='ReLU'),
            num_convs=2,
            kernel_size=1,
            align_corners=False,
            loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=0.4)) for index in range(3)
    ],
    test_cfg=dict(mode='slide', crop_size=(768, 768), stride=(512, 512)))
