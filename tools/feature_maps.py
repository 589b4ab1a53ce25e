"""Show what the layers of a model make of a picture: see `python tools/feature_maps.py --help`."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
if __name__ == '__main__':
    from mmseg.cli import main
    sys.exit(main(['feature_maps', *sys.argv[1:]]))
