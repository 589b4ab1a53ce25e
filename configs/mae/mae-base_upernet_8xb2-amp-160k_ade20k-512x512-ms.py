# To be tested at several scales: add `--tta`
_base_ = './mae-base_upernet_8xb2-amp-160k_ade20k-512x512.py'
