_base_ = './fastfcn_r50-d32_jpu.py'
model = dict(decode_head=dict(type='PSPHead', pool_scales=(1, 2, 3, 6)))
