_base_ = './segmenter_vit-b_mask_8xb1-160k_ade20k-512x512.py'
checkpoint = (
    'https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/segmenter/'
    'vit_small_p16_384_20220308-410f6037.pth')
model = dict(
    pretrained=checkpoint,
    backbone=dict(embed_dims=384, num_heads=6),
    decode_head=dict(
        _delete_=True, type='FCNHead', in_channels=384, channels=384, num_convs=0, dropout_ratio=0.0,
        concat_input=False, num_classes=150,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)))
