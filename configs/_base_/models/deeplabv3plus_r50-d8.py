# DeepLabV3+, https://arxiv.org/abs/1802.02611: c1 is the first stage, whose detail joins the pooled context
_base_ = './resnet50-d8.py'
model = dict(
    decode_head=dict(
        type='DepthwiseSeparableASPPHead', dilations=(1, 12, 24, 36), c1_in_channels=256, c1_channels=48))
