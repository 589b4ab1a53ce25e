# Context Encoding, https://arxiv.org/abs/1803.08904: a second loss asks which classes the image shows at all
_base_ = './resnet50-d8.py'
model = dict(
    decode_head=dict(
        type='EncHead',
        in_channels=[512, 1024, 2048],
        in_index=(1, 2, 3),
        num_codes=32,
        use_se_loss=True,
        add_lateral=False,
        loss_se_decode=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=0.2)))
