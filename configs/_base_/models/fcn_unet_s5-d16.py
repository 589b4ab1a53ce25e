_base_ = './unet_s5-d16.py'
model = dict(decode_head=dict(type='FCNHead', channels=64, num_convs=1, concat_input=False))
