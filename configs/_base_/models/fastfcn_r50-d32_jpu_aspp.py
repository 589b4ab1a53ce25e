_base_ = './fastfcn_r50-d32_jpu.py'
model = dict(decode_head=dict(type='ASPPHead', dilations=(1, 12, 24, 36)))
