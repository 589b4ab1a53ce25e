_base_ = './convnext-base_upernet_8xb2-amp-160k_ade20k-640x640.py'
checkpoint = (
    'https://download.openmmlab.com/mmclassification/v0/convnext/downstream/'
    'convnext-xlarge_3rdparty_in21k_20220301-08aa5ddc.pth')
model = dict(
    backbone=dict(arch='xlarge', init_cfg=dict(checkpoint=checkpoint)),
    decode_head=dict(in_channels=[256, 512, 1024, 2048]),
    auxiliary_head=dict(in_channels=1024))
optim_wrapper = dict(optimizer=dict(lr=8e-05))
