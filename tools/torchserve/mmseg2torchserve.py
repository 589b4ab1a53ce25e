"""Pack a model for TorchServe.

    python tools/torchserve/mmseg2torchserve.py CONFIG CHECKPOINT --output-folder model-store --model-name streets
"""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
if __name__ == '__main__':
    from mmseg.cli.torchserve import main_pack
    sys.exit(main_pack(__doc__))
