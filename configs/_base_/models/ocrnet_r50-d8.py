# Object-Contextual Representations, https://arxiv.org/abs/1909.11065: the auxiliary FCN head becomes the first stage
# of a cascade, whose prediction guides the second
_base_ = './resnet50-d8.py'
model = dict(
    type='CascadeEncoderDecoder',
    num_stages=2,
    decode_head=[
        _base_.model.auxiliary_head,
        dict(_base_.model.decode_head, type='OCRHead', ocr_channels=256)
    ],
    auxiliary_head=None)
