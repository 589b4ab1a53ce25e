# To be tested at several scales: add `--tta`
_base_ = './beit-base_upernet_8xb2-160k_ade20k-640x640.py'
