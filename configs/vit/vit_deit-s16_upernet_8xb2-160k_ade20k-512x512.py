# Runs for 80000 iterations, as published
_base_ = './vit_vit-b16_mln_upernet_8xb2-80k_ade20k-512x512.py'
model = dict(
    pretrained='pretrain/deit_small_patch16_224-cd65a155.pth',
    backbone=dict(embed_dims=384, num_heads=6, drop_path_rate=0.1),
    neck=None,
    decode_head=dict(in_channels=[384, 384, 384, 384]),
    auxiliary_head=dict(in_channels=384))
