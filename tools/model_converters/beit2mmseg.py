"""Convert BEiT (https://github.com/microsoft/unilm) or MAE (https://github.com/facebookresearch/mae) of their authors.

    python tools/model_converters/beit2mmseg.py beit_base_patch16_224_pt22k_ft22k.pth \\
        pretrain/beit_base_patch16_224_pt22k_ft22k.pth
    python tools/train.py configs/beit/beit-base_upernet_8xb2-160k_ade20k-640x640.py

The result holds the backbone alone. Position biases that pre-training has once for all layers are given to each; MAE
has none, and starts fine-tuning without.
"""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from mmseg.utils.layouts_vit import BEIT as LAYOUT  # noqa: E402

if __name__ == '__main__':
    from mmseg.cli.convert import main
    sys.exit(main(__doc__, LAYOUT))
