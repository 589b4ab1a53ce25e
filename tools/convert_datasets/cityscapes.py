"""Cityscapes: labels from polygons: see `python tools/convert_datasets/cityscapes.py --help`."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
if __name__ == '__main__':
    from mmseg.cli.convert_dataset import script
    sys.exit(script(__file__))
