_base_ = './maskformer_swin-t_upernet_8xb2-160k_ade20k-512x512.py'
checkpoint = (
    'https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/swin/'
    'swin_small_patch4_window7_224_20220317-7ba6d6dd.pth')
model = dict(backbone=dict(depths=[2, 2, 18, 2], init_cfg=dict(checkpoint=checkpoint)))
custom_keys = {f'backbone.stages.2.blocks.{block}.norm': _base_.backbone_norm_multi for block in range(6, 18)}
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=custom_keys))
