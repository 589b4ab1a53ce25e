_base_ = [
    '../_base_/models/mask2former_r50.py',
    '../_base_/datasets/cityscapes_shortest-edge.py',
    '../_base_/schedules/schedule_90k_mask2former.py',
    '../_base_/default_runtime.py'
]
num_classes = 19
data_preprocessor = dict(size=_base_.crop_size)
model = dict(
    data_preprocessor=data_preprocessor,
    decode_head=dict(
        num_classes=num_classes, loss_cls=dict(class_weight=[1.0] * num_classes + [0.1])))
