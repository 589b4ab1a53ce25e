_base_ = [
    '../_base_/models/mask2former_swin-t.py',
    '../_base_/datasets/ade20k_shortest-edge.py',
    '../_base_/schedules/schedule_160k_mask2former.py',
    '../_base_/default_runtime.py'
]
checkpoint = (
    'https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/swin/'
    'swin_tiny_patch4_window7_224_20220317-1cdeb081.pth')
num_classes = 150
data_preprocessor = dict(size=_base_.crop_size)
model = dict(
    data_preprocessor=data_preprocessor,
    backbone=dict(init_cfg=dict(type='Pretrained', checkpoint=checkpoint)),
    decode_head=dict(
        num_classes=num_classes, loss_cls=dict(class_weight=[1.0] * num_classes + [0.1])))
train_dataloader = dict(batch_size=2)
backbone_norm_multi = dict(lr_mult=0.1, decay_mult=0.0)
custom_keys = {
    'backbone.patch_embed.norm': backbone_norm_multi,
    'backbone.norm': backbone_norm_multi,
    'absolute_pos_embed': backbone_norm_multi,
    'relative_position_bias_table': backbone_norm_multi,
    **{f'backbone.stages.{stage}.blocks.{block}.norm': backbone_norm_multi
       for stage, depth in enumerate(_base_.model.backbone.depths) for block in range(depth)},
    **{f'backbone.stages.{stage}.downsample.norm': backbone_norm_multi for stage in range(3)}
}
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=custom_keys))
