_base_ = [
    '../_base_/models/knet-s3_r50-d8.py',
    '../_base_/datasets/ade20k.py',
    '../_base_/schedules/schedule_80k_adamw_step.py',
    '../_base_/default_runtime.py'
]
checkpoint = (
    'https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/swin/'
    'swin_tiny_patch4_window7_224_20220308-f41b89d3.pth')
data_preprocessor = dict(size=_base_.crop_size)
model = dict(
    data_preprocessor=data_preprocessor, pretrained=checkpoint,
    backbone=dict(
        _delete_=True, type='SwinTransformer', embed_dims=96, depths=[2, 2, 6, 2], num_heads=[3, 6, 12, 24],
        window_size=7, mlp_ratio=4, qkv_bias=True, qk_scale=None, drop_rate=0.0, attn_drop_rate=0.0,
        drop_path_rate=0.3, use_abs_pos_embed=False, patch_norm=True, out_indices=(0, 1, 2, 3)),
    decode_head=dict(
        kernel_generate_head=dict(
            type='UPerHead', in_channels=[96, 192, 384, 768], in_index=[0, 1, 2, 3], pool_scales=(1, 2, 3, 6))),
    auxiliary_head=dict(in_channels=384))
train_dataloader = dict(batch_size=2, num_workers=2)
optim_wrapper = dict(
    optimizer=dict(lr=6e-05, betas=(0.9, 0.999)),
    paramwise_cfg=dict(
        custom_keys=dict(
            absolute_pos_embed=dict(decay_mult=0.0),
            relative_position_bias_table=dict(decay_mult=0.0),
            norm=dict(decay_mult=0.0))))
