# A ResNet-50 in spite of the name, as published
_base_ = './fpn_r50_4xb4-160k_ade20k-512x512.py'
