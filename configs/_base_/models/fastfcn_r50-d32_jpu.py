# FastFCN, https://arxiv.org/abs/1903.11816: joint pyramid upsampling instead of dilation restores a stride of 8.
# Each variant adds its decode head.
_base_ = './resnet50-d8.py'
model = dict(
    backbone=dict(strides=(1, 2, 2, 2), out_indices=(1, 2, 3)),
    neck=dict(
        type='JPU',
        in_channels=(512, 1024, 2048), mid_channels=512, dilations=(1, 2, 4, 8),
        start_level=0, end_level=-1,
        align_corners=False,
        norm_cfg=_base_.norm_cfg),
    decode_head=dict(in_index=2),
    auxiliary_head=dict(in_index=1))
