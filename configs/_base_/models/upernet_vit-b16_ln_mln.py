# Vision Transformer, https://arxiv.org/abs/2010.11929: four of its layers, brought to four scales by the neck
_base_ = './upernet.py'
model = dict(
    backbone=dict(
        type='VisionTransformer',
        img_size=(512, 512), patch_size=16, in_channels=3,
        embed_dims=768, num_layers=12, num_heads=12, mlp_ratio=4,
        out_indices=(2, 5, 8, 11),
        qkv_bias=True,
        drop_rate=0.0,
        attn_drop_rate=0.0,
        drop_path_rate=0.0,
        with_cls_token=True,
        norm_cfg=dict(type='LN', eps=1e-6),
        act_cfg=dict(type='GELU'),
        norm_eval=False,
        interpolate_mode='bicubic'),
    neck=dict(
        type='MultiLevelNeck', in_channels=[768, 768, 768, 768], out_channels=768, scales=[4, 2, 1, 0.5]),
    decode_head=dict(in_channels=[768, 768, 768, 768]),
    auxiliary_head=dict(in_channels=768, in_index=3))
