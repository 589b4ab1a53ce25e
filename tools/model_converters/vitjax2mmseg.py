"""Convert a vision transformer of its authors, in JAX (https://github.com/google-research/vision_transformer).

    python tools/model_converters/vitjax2mmseg.py ViT-B_16.npz pretrain/vit_base_p16.pth
    python tools/train.py configs/segmenter/segmenter_vit-b_mask_8xb1-160k_ade20k-512x512.py \\
        --cfg-options model.pretrained=pretrain/vit_base_p16.pth

The result holds the backbone alone, with the norm after the last layer, for `final_norm=True`; other configs leave it.
"""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from mmseg.utils.layouts_vit import JAX as LAYOUT  # noqa: E402

if __name__ == '__main__':
    from mmseg.cli.convert import main
    sys.exit(main(__doc__, LAYOUT))
