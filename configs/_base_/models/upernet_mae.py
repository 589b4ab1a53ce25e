# Masked autoencoders, https://arxiv.org/abs/2111.06377
_base_ = './upernet.py'
model = dict(
    backbone=dict(
        type='MAE',
        img_size=(512, 512), patch_size=16, in_channels=3,
        embed_dims=768, num_layers=12, num_heads=12, mlp_ratio=4,
        out_indices=(3, 5, 7, 11),
        attn_drop_rate=0.0,
        drop_path_rate=0.1,
        norm_cfg=dict(type='LN', eps=1e-6),
        act_cfg=dict(type='GELU'),
        norm_eval=False,
        init_values=1.0),
    neck=dict(type='Feature2Pyramid', embed_dim=768, rescales=[4, 2, 1, 0.5]),
    decode_head=dict(in_channels=[768, 768, 768, 768], channels=768),
    auxiliary_head=dict(in_channels=768))
