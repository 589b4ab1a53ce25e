# Twice the iterations for half the batch. The learning rate is at zero after 160000 of them, as published.
_base_ = [
    '../_base_/models/upernet_beit.py',
    '../_base_/datasets/ade20k_640x640.py',
    '../_base_/schedules/schedule_320k.py',
    '../_base_/default_runtime.py'
]
data_preprocessor = dict(size=_base_.crop_size)
model = dict(
    data_preprocessor=data_preprocessor, pretrained='pretrain/beit_large_patch16_224_pt22k_ft22k.pth',
    backbone=dict(
        embed_dims=1024, num_layers=24, num_heads=16, out_indices=(7, 11, 15, 23), drop_path_rate=0.2,
        init_values=1e-06),
    neck=dict(embed_dim=1024),
    decode_head=dict(in_channels=[1024, 1024, 1024, 1024], channels=1024, num_classes=150),
    auxiliary_head=dict(in_channels=1024, num_classes=150),
    test_cfg=dict(mode='slide', crop_size=_base_.crop_size, stride=(426, 426)))
train_dataloader = dict(batch_size=1)
optim_wrapper = dict(
    _delete_=True, type='AmpOptimWrapper',
    optimizer=dict(type='AdamW', lr=2e-05, betas=(0.9, 0.999), weight_decay=0.05),
    constructor='LayerDecayOptimizerConstructor',
    paramwise_cfg=dict(num_layers=24, layer_decay_rate=0.95),
    accumulative_counts=2)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-06, begin=0, end=3000, by_epoch=False),
    dict(type='PolyLR', eta_min=0.0, power=1.0, begin=3000, end=160000, by_epoch=False)
]
