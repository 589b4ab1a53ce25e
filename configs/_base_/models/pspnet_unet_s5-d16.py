_base_ = './unet_s5-d16.py'
model = dict(decode_head=dict(type='PSPHead', channels=16, pool_scales=(1, 2, 3, 6)))
