"""Send an image to TorchServe and compare the ids with those that PyTorch gives here.

    python tools/torchserve/test_torchserve.py street.jpg CONFIG CHECKPOINT streets --result-image ids.png
"""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
if __name__ == '__main__':
    from mmseg.cli.torchserve import main_compare
    sys.exit(main_compare(__doc__))
