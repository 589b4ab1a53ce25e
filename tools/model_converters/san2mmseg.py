"""Convert SAN (https://arxiv.org/abs/2302.12242) as its authors publish it, with CLIP inside.

    python tools/model_converters/san2mmseg.py san_vit_b_16.pth checkpoints/san_vit-b16.pth
    python tools/test.py configs/san/san-vit-b16_coco-stuff164k-640x640.py checkpoints/san_vit-b16.pth
"""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from mmseg.utils.layouts_clip import SAN as LAYOUT  # noqa: E402

if __name__ == '__main__':
    from mmseg.cli.convert import main
    sys.exit(main(__doc__, LAYOUT))
