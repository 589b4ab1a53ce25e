_base_ = [
    '../_base_/models/vpd_sd.py',
    '../_base_/datasets/nyu_512x512.py',
    '../_base_/schedules/schedule_25k.py',
    '../_base_/default_runtime.py'
]
data_preprocessor = dict(size=_base_.crop_size)
model = dict(data_preprocessor=data_preprocessor)
