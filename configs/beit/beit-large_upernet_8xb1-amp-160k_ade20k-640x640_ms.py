# To be tested at several scales: add `--tta`
_base_ = './beit-large_upernet_8xb1-amp-160k_ade20k-640x640.py'
