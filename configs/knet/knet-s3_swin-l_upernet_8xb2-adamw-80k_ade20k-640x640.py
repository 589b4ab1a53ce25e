# Crops stay at 512 x 512, as published: the model pads them to 640 x 640
_base_ = './knet-s3_swin-t_upernet_8xb2-adamw-80k_ade20k-512x512.py'
checkpoint = (
    'https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/swin/'
    'swin_large_patch4_window7_224_22k_20220308-d5bdebaf.pth')
crop_size = (640, 640)
data_preprocessor = dict(size=crop_size)
model = dict(
    data_preprocessor=data_preprocessor, pretrained=checkpoint,
    backbone=dict(embed_dims=192, depths=[2, 2, 18, 2], num_heads=[6, 12, 24, 48], drop_path_rate=0.4),
    decode_head=dict(kernel_generate_head=dict(in_channels=[192, 384, 768, 1536])),
    auxiliary_head=dict(in_channels=768))
