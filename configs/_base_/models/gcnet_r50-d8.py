# GCNet, https://arxiv.org/abs/1904.11492
_base_ = './resnet50-d8.py'
model = dict(
    decode_head=dict(type='GCHead', ratio=0.25, pooling_type='att', fusion_types=('channel_add', )))
