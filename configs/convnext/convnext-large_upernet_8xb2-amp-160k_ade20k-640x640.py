_base_ = './convnext-base_upernet_8xb2-amp-160k_ade20k-640x640.py'
checkpoint = (
    'https://download.openmmlab.com/mmclassification/v0/convnext/downstream/'
    'convnext-large_3rdparty_in21k_20220301-e6e0ea0a.pth')
model = dict(
    backbone=dict(arch='large', init_cfg=dict(checkpoint=checkpoint)),
    decode_head=dict(in_channels=[192, 384, 768, 1536]),
    auxiliary_head=dict(in_channels=768))
