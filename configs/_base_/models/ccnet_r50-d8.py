# Criss-Cross Attention, https://arxiv.org/abs/1811.11721
_base_ = './resnet50-d8.py'
model = dict(decode_head=dict(type='CCHead', recurrence=2))
