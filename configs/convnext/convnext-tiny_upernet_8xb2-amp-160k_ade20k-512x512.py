_base_ = './convnext-base_upernet_8xb2-amp-160k_ade20k-512x512.py'
checkpoint = (
    'https://download.openmmlab.com/mmclassification/v0/convnext/downstream/'
    'convnext-tiny_3rdparty_32xb128-noema_in1k_20220301-795e9634.pth')
model = dict(
    backbone=dict(arch='tiny', init_cfg=dict(checkpoint=checkpoint)),
    decode_head=dict(in_channels=[96, 192, 384, 768]),
    auxiliary_head=dict(in_channels=384))
optim_wrapper = dict(paramwise_cfg=dict(num_layers=6))
