_base_ = './swin-tiny-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512.py'
checkpoint = (
    'https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/swin/'
    'swin_base_patch4_window12_384_22k_20220317-e5c09f74.pth')
model = dict(
    backbone=dict(
        pretrain_img_size=384, embed_dims=128, window_size=12, depths=[2, 2, 18, 2], num_heads=[4, 8, 16, 32],
        init_cfg=dict(checkpoint=checkpoint)),
    decode_head=dict(in_channels=[128, 256, 512, 1024]),
    auxiliary_head=dict(in_channels=512))
