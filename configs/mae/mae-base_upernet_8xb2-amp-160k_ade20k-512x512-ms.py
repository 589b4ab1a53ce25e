_base_ = './mae-base_upernet_8xb2-amp-160k_ade20k-512x512.py'
