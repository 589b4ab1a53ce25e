# Interlaced Sparse Self-Attention, https://arxiv.org/abs/1907.12273
_base_ = './resnet50-d8.py'
model = dict(decode_head=dict(type='ISAHead', isa_channels=256, down_factor=(8, 8)))
