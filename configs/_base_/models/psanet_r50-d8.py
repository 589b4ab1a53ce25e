# Point-wise Spatial Attention Network (Zhao et al., ECCV 2018)
_base_ = './resnet50-d8.py'
model = dict(
    decode_head=dict(
        type='PSAHead',
        mask_size=(97, 97),
        psa_type='bi-direction',
        compact=False,
        shrink_factor=2,
        normalization_factor=1.0,
        psa_softmax=True))
