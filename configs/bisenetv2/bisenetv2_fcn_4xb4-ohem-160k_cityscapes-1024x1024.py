# As published, hard pixels are not mined, in spite of the name: that takes a
# sampler=dict(type='OHEMPixelSampler', thresh=0.7, min_kept=10000) in each head
_base_ = './bisenetv2_fcn_4xb4-160k_cityscapes-1024x1024.py'
