_base_ = './mask2former_swin-t_8xb2-90k_cityscapes-512x1024.py'
checkpoint = (
    'https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/swin/'
    'swin_large_patch4_window12_384_22k_20220412-6580f57d.pth')
model = dict(
    backbone=dict(
        pretrain_img_size=384, window_size=12, depths=[2, 2, 18, 2], embed_dims=192, num_heads=[6, 12, 24, 48],
        init_cfg=dict(checkpoint=checkpoint)),
    decode_head=dict(in_channels=[192, 384, 768, 1536]))
custom_keys = {f'backbone.stages.2.blocks.{block}.norm': _base_.backbone_norm_multi for block in range(6, 18)}
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=custom_keys))
