# Expectation-Maximization Attention Networks, https://arxiv.org/abs/1907.13426
_base_ = './resnet50-d8.py'
model = dict(
    decode_head=dict(type='EMAHead', channels=256, ema_channels=512, num_bases=64, num_stages=3, momentum=0.1))
