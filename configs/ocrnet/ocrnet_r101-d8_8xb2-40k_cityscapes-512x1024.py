_base_ = './ocrnet_r101-d8_4xb2-40k_cityscapes-512x1024.py'
optimizer = dict(lr=0.02)
optim_wrapper = dict(optimizer=optimizer)
param_scheduler = [dict(type='PolyLR', eta_min=0.0002, power=0.9, begin=0, end=40000, by_epoch=False)]
