_base_ = './pspnet_r50-d8-rsb_4xb2-adamw-80k_cityscapes-512x1024.py'
model = dict(backbone=dict(strides=(1, 2, 2, 2)))
