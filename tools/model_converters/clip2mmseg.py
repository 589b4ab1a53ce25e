"""Convert OpenAI's CLIP with a vision transformer, as TorchScript or as weights, to what SAN starts from.

    python tools/model_converters/clip2mmseg.py ViT-B-16.pt checkpoints/clip_vit-b16.pth
    python tools/train.py configs/san/san-vit-b16_coco-stuff164k-640x640.py \\
        --cfg-options model.pretrained=checkpoints/clip_vit-b16.pth

The last quarter of the layers of the image encoder goes to SAN's head: 3 of 12, 6 of 24.
"""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from mmseg.utils.layouts_clip import CLIP as LAYOUT  # noqa: E402

if __name__ == '__main__':
    from mmseg.cli.convert import main
    sys.exit(main(__doc__, LAYOUT))
