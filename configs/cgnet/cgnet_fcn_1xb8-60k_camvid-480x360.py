# Evaluates the weights that the authors trained on CamVid, once tools/model_converters/cgnet2mmseg.py has renamed them.
_base_ = [
    '../_base_/models/cgnet.py',
    '../_base_/datasets/camvid.py',
    '../_base_/schedules/schedule_40k.py',
    '../_base_/default_runtime.py'
]
# Means of the data set's images, red first
data_preprocessor = dict(mean=[105.65775, 103.329834, 99.625404], size=_base_.crop_size)
model = dict(
    data_preprocessor=data_preprocessor,
    decode_head=dict(num_classes=11, loss_decode=dict(class_weight=None)))
optimizer = dict(type='Adam', lr=0.001, eps=1e-08, weight_decay=0.0005)
optim_wrapper = dict(_delete_=True, type='OptimWrapper', optimizer=optimizer)
param_scheduler = [dict(type='PolyLR', eta_min=0.0001, power=0.9, begin=0, end=60000, by_epoch=False)]
train_cfg = dict(max_iters=60000)
