# ERFNet (Romera et al., IEEE T-ITS 2018)
_base_ = './encoder_decoder.py'
model = dict(
    pretrained=None,
    backbone=dict(
        type='ERFNet',
        in_channels=3,
        # encoder
        enc_downsample_channels=(16, 64, 128), enc_non_bottleneck_channels=(64, 128),
        enc_stage_non_bottlenecks=(5, 8), enc_non_bottleneck_dilations=(2, 4, 8, 16),
        # decoder
        dec_upsample_channels=(64, 16), dec_non_bottleneck_channels=(64, 16), dec_stages_non_bottleneck=(2, 2),
        dropout_ratio=0.1,
        init_cfg=None),
    decode_head=dict(type='FCNHead', in_channels=16, channels=128, num_convs=1, concat_input=False))
