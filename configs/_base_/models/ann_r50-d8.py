# Asymmetric Non-local Neural Networks, https://arxiv.org/abs/1908.07678
_base_ = './resnet50-d8.py'
model = dict(
    decode_head=dict(
        type='ANNHead',
        in_channels=[1024, 2048],
        in_index=[2, 3],
        project_channels=256,
        query_scales=(1, ),
        key_pool_scales=(1, 3, 6, 8)))
