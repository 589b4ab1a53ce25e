# DeepLabV3, https://arxiv.org/abs/1706.05587
_base_ = './resnet50-d8.py'
model = dict(decode_head=dict(type='ASPPHead', dilations=(1, 12, 24, 36)))
