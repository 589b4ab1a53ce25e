# Object-Contextual Representations, https://arxiv.org/abs/1909.11065: the auxiliary FCN head becomes the first stage
# of a cascade, whose prediction guides the second
_base_ = './resnet50-d8.py'
model = dict(
    _delete_=True,
    type='CascadeEncoderDecoder',
    num_stages=2,
    data_preprocessor=_base_.data_preprocessor,
    pretrained=_base_.model.pretrained,
    backbone=_base_.model.backbone,
    decode_head=[
        _base_.model.auxiliary_head,
        dict(_base_.model.decode_head, type='OCRHead', ocr_channels=256)
    ],
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))
