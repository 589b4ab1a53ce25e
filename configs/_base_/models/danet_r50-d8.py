# Dual Attention Network, https://arxiv.org/abs/1809.02983
_base_ = './resnet50-d8.py'
model = dict(decode_head=dict(type='DAHead', pam_channels=64))
