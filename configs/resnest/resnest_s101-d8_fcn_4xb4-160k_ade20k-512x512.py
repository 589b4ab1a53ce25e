_base_ = '../fcn/fcn_r50-d8_4xb4-160k_ade20k-512x512.py'
model = dict(
    pretrained='open-mmlab://resnest101',
    backbone=dict(type='ResNeSt', depth=101, stem_channels=128, radix=2, reduction_factor=4, avg_down_stride=True))
