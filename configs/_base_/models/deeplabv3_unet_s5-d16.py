_base_ = './unet_s5-d16.py'
model = dict(decode_head=dict(type='ASPPHead', channels=16, dilations=(1, 12, 24, 36)))
