_base_ = './twins_pcpvt-s_uperhead_8xb4-160k_ade20k-512x512.py'
checkpoint = 'https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/twins/pcpvt_large_20220308-37579dc6.pth'
model = dict(backbone=dict(init_cfg=dict(checkpoint=checkpoint), depths=[3, 8, 27, 3], drop_path_rate=0.3))
train_dataloader = dict(batch_size=2, num_workers=2)
