# Non-local Neural Networks, https://arxiv.org/abs/1711.07971
_base_ = './resnet50-d8.py'
model = dict(decode_head=dict(type='NLHead', reduction=2, use_scale=True, mode='embedded_gaussian'))
