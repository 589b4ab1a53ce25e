# MobileNetV3 with the LR-ASPP head, https://arxiv.org/abs/1905.02244
_base_ = './encoder_decoder.py'
norm_cfg = dict(type='SyncBN', eps=0.001, requires_grad=True)
model = dict(
    backbone=dict(type='MobileNetV3', arch='large', out_indices=(1, 3, 16), norm_cfg=norm_cfg),
    decode_head=dict(
        type='LRASPPHead',
        in_channels=(16, 24, 960),
        in_index=(0, 1, 2),
        channels=128,
        input_transform='multiple_select',
        norm_cfg=norm_cfg,
        act_cfg=dict(type='ReLU')))
