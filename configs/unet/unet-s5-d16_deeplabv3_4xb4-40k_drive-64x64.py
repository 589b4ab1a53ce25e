_base_ = [
    '../_base_/models/deeplabv3_unet_s5-d16.py',
    '../_base_/datasets/drive.py',
    '../_base_/schedules/schedule_40k.py',
    '../_base_/default_runtime.py'
]
data_preprocessor = dict(size=_base_.crop_size)
model = dict(data_preprocessor=data_preprocessor, test_cfg=dict(crop_size=_base_.crop_size, stride=(42, 42)))
