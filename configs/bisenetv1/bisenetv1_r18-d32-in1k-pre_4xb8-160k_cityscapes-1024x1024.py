_base_ = './bisenetv1_r18-d32_4xb4-160k_cityscapes-1024x1024.py'
model = dict(
    backbone=dict(backbone_cfg=dict(init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://resnet18_v1c'))))
train_dataloader = dict(batch_size=8)
