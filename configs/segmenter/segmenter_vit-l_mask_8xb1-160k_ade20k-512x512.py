_base_ = [
    '../_base_/models/segmenter_vit-b16_mask.py',
    '../_base_/datasets/ade20k_640x640.py',
    '../_base_/schedules/schedule_160k.py',
    '../_base_/default_runtime.py'
]
checkpoint = (
    'https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/segmenter/'
    'vit_large_p16_384_20220308-d4efb41d.pth')
data_preprocessor = dict(size=_base_.crop_size)
model = dict(
    data_preprocessor=data_preprocessor, pretrained=checkpoint,
    backbone=dict(img_size=_base_.crop_size, embed_dims=1024, num_layers=24, num_heads=16),
    decode_head=dict(in_channels=1024, channels=1024, num_heads=16, embed_dims=1024),
    test_cfg=dict(crop_size=_base_.crop_size, stride=(608, 608)))
train_dataloader = dict(batch_size=1)
optimizer = dict(lr=0.001, weight_decay=0.0)
optim_wrapper = dict(optimizer=optimizer)
