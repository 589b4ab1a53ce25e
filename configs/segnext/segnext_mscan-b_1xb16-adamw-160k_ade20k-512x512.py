_base_ = './segnext_mscan-t_1xb16-adamw-160k_ade20k-512x512.py'
checkpoint = 'https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/segnext/mscan_b_20230227-3ab7d230.pth'
model = dict(
    backbone=dict(init_cfg=dict(checkpoint=checkpoint), embed_dims=[64, 128, 320, 512], depths=[3, 3, 12, 3]),
    decode_head=dict(in_channels=[128, 320, 512], channels=512, ham_channels=512))
