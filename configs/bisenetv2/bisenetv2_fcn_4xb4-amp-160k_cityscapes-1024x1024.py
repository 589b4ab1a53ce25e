_base_ = './bisenetv2_fcn_4xb4-160k_cityscapes-1024x1024.py'
optim_wrapper = dict(type='AmpOptimWrapper', loss_scale=512.0)
