_base_ = './schedule_160k_mask2former.py'
param_scheduler = [dict(type='PolyLR', eta_min=0, power=0.9, begin=0, end=90000, by_epoch=False)]
train_cfg = dict(max_iters=90000)
