_base_ = './twins_pcpvt-s_fpn_fpnhead_8xb4-80k_ade20k-512x512.py'
checkpoint = 'https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/twins/alt_gvt_base_20220308-1b7eb711.pth'
model = dict(
    backbone=dict(
        type='SVT',
        init_cfg=dict(checkpoint=checkpoint),
        embed_dims=[96, 192, 384, 768], num_heads=[3, 6, 12, 24], mlp_ratios=[4, 4, 4, 4], depths=[2, 2, 18, 2],
        norm_after_stage=True, windiow_sizes=[7, 7, 7, 7]),
    neck=dict(in_channels=[96, 192, 384, 768]))
