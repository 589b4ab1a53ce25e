_base_ = './fastfcn_r50-d32_jpu.py'
model = dict(
    decode_head=dict(
        type='EncHead',
        in_channels=[512, 1024, 2048],
        in_index=(0, 1, 2),
        num_codes=32,
        use_se_loss=True,
        add_lateral=False,
        loss_se_decode=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=0.2)))
