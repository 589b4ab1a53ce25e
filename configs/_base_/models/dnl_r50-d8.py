# Disentangled Non-Local Neural Networks, https://arxiv.org/abs/2006.06668
_base_ = './resnet50-d8.py'
model = dict(decode_head=dict(type='DNLHead', reduction=2, use_scale=True, mode='embedded_gaussian'))
