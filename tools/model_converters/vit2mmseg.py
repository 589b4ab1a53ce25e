"""Convert a vision transformer of timm (https://github.com/huggingface/pytorch-image-models) or DeiT.

    python tools/model_converters/vit2mmseg.py jx_vit_base_p16_224-80ecf9dd.pth pretrain/vit_base_patch16_224.pth
    python tools/train.py configs/vit/vit_vit-b16-ln_mln_upernet_8xb2-160k_ade20k-512x512.py

The result holds the backbone alone, with the norm after the last layer, for `final_norm=True`; other configs leave it.
"""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from mmseg.utils.layouts_vit import TIMM as LAYOUT  # noqa: E402

if __name__ == '__main__':
    from mmseg.cli.convert import main
    sys.exit(main(__doc__, LAYOUT))
