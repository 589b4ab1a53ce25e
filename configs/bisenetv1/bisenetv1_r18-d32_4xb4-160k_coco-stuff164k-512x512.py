_base_ = [
    '../_base_/models/bisenetv1_r18-d32.py',
    '../_base_/datasets/coco-stuff164k.py',
    '../_base_/schedules/schedule_160k_warmup.py',
    '../_base_/default_runtime.py'
]
data_preprocessor = dict(size=_base_.crop_size)
model = dict(
    data_preprocessor=data_preprocessor,
    decode_head=dict(num_classes=171),
    auxiliary_head=[dict(head, num_classes=171) for head in _base_.model.auxiliary_head])
optimizer = dict(lr=0.005)
optim_wrapper = dict(optimizer=optimizer)
