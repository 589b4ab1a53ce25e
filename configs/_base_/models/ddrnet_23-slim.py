# DDRNet, https://arxiv.org/abs/2101.06085: two losses, both on the hard pixels
_base_ = './encoder_decoder.py'
# The classes of Cityscapes: the rarer, the heavier
class_weight = [
    0.8373, 0.918, 0.866, 1.0345, 1.0166, 0.9969, 0.9754, 1.0489, 0.8786, 1.0023, 0.9539, 0.9843, 1.1116, 0.9037,
    1.0865, 1.0955, 1.0865, 1.1529, 1.0507
]
model = dict(
    backbone=dict(
        type='DDRNet',
        in_channels=3,
        channels=32,
        ppm_channels=128,
        norm_cfg=_base_.norm_cfg,
        align_corners=False),
    decode_head=dict(
        type='DDRHead',
        in_channels=128,
        channels=64,
        dropout_ratio=0.0,
        loss_decode=[
            dict(
                type='OhemCrossEntropy',
                thres=0.9,
                min_kept=131072,
                class_weight=class_weight,
                loss_weight=loss_weight) for loss_weight in (1.0, 0.4)
        ]))
