# Fast-SCNN, https://arxiv.org/abs/1902.04502: trained with one sigmoid a class
_base_ = './encoder_decoder.py'
norm_cfg = dict(type='SyncBN', requires_grad=True, momentum=0.01)
model = dict(
    backbone=dict(
        type='FastSCNN',
        # learning to downsample
        downsample_dw_channels=(32, 48),
        # global features
        global_in_channels=64, global_block_channels=(64, 96, 128), global_block_strides=(2, 2, 1),
        global_out_channels=128,
        # fusion of the two
        higher_in_channels=64, lower_in_channels=128, fusion_out_channels=128,
        out_indices=(0, 1, 2),
        norm_cfg=norm_cfg,
        align_corners=False),
    decode_head=dict(
        type='DepthwiseSeparableFCNHead',
        in_channels=128,
        channels=128,
        concat_input=False,
        in_index=-1,
        norm_cfg=norm_cfg,
        loss_decode=dict(use_sigmoid=True)),
    auxiliary_head=[
        dict(
            type='FCNHead',
            in_channels=in_channels,
            channels=32,
            num_convs=1,
            num_classes=19,
            in_index=index,
            norm_cfg=norm_cfg,
            concat_input=False,
            align_corners=False,
            loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=0.4))
        for index, in_channels in ((-2, 128), (-3, 64))
    ])
