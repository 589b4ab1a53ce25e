_base_ = [
    '../_base_/models/maskformer_r50-d32.py',
    '../_base_/datasets/ade20k.py',
    '../_base_/schedules/schedule_160k_adamw.py',
    '../_base_/default_runtime.py'
]
checkpoint = (
    'https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/swin/'
    'swin_tiny_patch4_window7_224_20220317-1cdeb081.pth')
data_preprocessor = dict(size=_base_.crop_size)
model = dict(
    data_preprocessor=data_preprocessor,
    backbone=dict(
        _delete_=True, type='SwinTransformer', pretrain_img_size=224, embed_dims=96, patch_size=4, window_size=7,
        mlp_ratio=4, depths=[2, 2, 6, 2], num_heads=[3, 6, 12, 24], strides=(4, 2, 2, 2), out_indices=(0, 1, 2, 3),
        qkv_bias=True, qk_scale=None, patch_norm=True, drop_rate=0.0, attn_drop_rate=0.0, drop_path_rate=0.3,
        use_abs_pos_embed=False,
        act_cfg=dict(type='GELU'),
        norm_cfg=dict(type='LN', requires_grad=True),
        init_cfg=dict(type='Pretrained', checkpoint=checkpoint)),
    decode_head=dict(in_channels=[96, 192, 384, 768]))
train_dataloader = dict(batch_size=2, num_workers=2)
# Normalisation does not decay, nor do embeddings
backbone_norm_multi = dict(lr_mult=1.0, decay_mult=0.0)
custom_keys = {
    'backbone': dict(lr_mult=1.0),
    'backbone.patch_embed.norm': backbone_norm_multi,
    'backbone.norm': backbone_norm_multi,
    'relative_position_bias_table': backbone_norm_multi,
    'query_embed': dict(decay_mult=0.0),
    **{f'backbone.stages.{stage}.blocks.{block}.norm': backbone_norm_multi
       for stage, depth in enumerate([2, 2, 6, 2]) for block in range(depth)},
    **{f'backbone.stages.{stage}.downsample.norm': backbone_norm_multi for stage in range(3)}
}
optim_wrapper = dict(
    clip_grad=dict(max_norm=0.01, norm_type=2), paramwise_cfg=dict(custom_keys=custom_keys))
