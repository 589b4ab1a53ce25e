_base_ = [
    '../_base_/models/pspnet_r50-d8.py',
    '../_base_/datasets/cityscapes.py',
    '../_base_/schedules/schedule_80k_adamw_step.py',
    '../_base_/default_runtime.py'
]
checkpoint = (
    'https://download.openmmlab.com/mmclassification/v0/resnet/'
    'resnet50_8xb256-rsb-a1-600e_in1k_20211228-20e21305.pth')
data_preprocessor = dict(size=_base_.crop_size)
model = dict(
    data_preprocessor=data_preprocessor, pretrained=None,
    backbone=dict(type='ResNet', init_cfg=dict(type='Pretrained', prefix='backbone.', checkpoint=checkpoint)))
optim_wrapper = dict(optimizer=dict(lr=0.0005, weight_decay=0.05))
