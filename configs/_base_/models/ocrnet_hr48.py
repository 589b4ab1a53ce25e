# The wide HRNet
_base_ = './ocrnet_hr18.py'
model = dict(
    pretrained='open-mmlab://msra/hrnetv2_w48',
    backbone=dict(
        extra=dict(
            stage2=dict(num_channels=(48, 96)),
            stage3=dict(num_channels=(48, 96, 192)),
            stage4=dict(num_channels=(48, 96, 192, 384)))),
    decode_head=[
        dict(_base_.model.decode_head[0], in_channels=[48, 96, 192, 384], channels=720),
        dict(_base_.model.decode_head[1], in_channels=[48, 96, 192, 384])
    ])
