_base_ = './convnext-base_upernet_8xb2-amp-160k_ade20k-512x512.py'
checkpoint = (
    'https://download.openmmlab.com/mmclassification/v0/convnext/downstream/'
    'convnext-small_3rdparty_32xb128-noema_in1k_20220301-303e75e3.pth')
model = dict(
    backbone=dict(arch='small', drop_path_rate=0.3, init_cfg=dict(checkpoint=checkpoint)),
    decode_head=dict(in_channels=[96, 192, 384, 768]),
    auxiliary_head=dict(in_channels=384))
