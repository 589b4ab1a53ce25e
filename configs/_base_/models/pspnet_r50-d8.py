# Pyramid Scene Parsing Network, https://arxiv.org/abs/1612.01105
_base_ = './resnet50-d8.py'
model = dict(decode_head=dict(type='PSPHead', pool_scales=(1, 2, 3, 6)))
