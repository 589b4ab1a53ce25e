_base_ = './twins_pcpvt-s_uperhead_8xb4-160k_ade20k-512x512.py'
checkpoint = 'https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/twins/alt_gvt_small_20220308-7e1c3695.pth'
model = dict(
    backbone=dict(
        type='SVT',
        init_cfg=dict(checkpoint=checkpoint),
        embed_dims=[64, 128, 256, 512], num_heads=[2, 4, 8, 16], mlp_ratios=[4, 4, 4, 4], depths=[2, 2, 10, 4],
        norm_after_stage=True, windiow_sizes=[7, 7, 7, 7]),
    decode_head=dict(in_channels=[64, 128, 256, 512]),
    auxiliary_head=dict(in_channels=256))
train_dataloader = dict(batch_size=2, num_workers=2)
