"""Predict with several models at once: see `python tools/model_ensemble.py --help`."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
if __name__ == '__main__':
    from mmseg.cli import main
    sys.exit(main(['model_ensemble', *sys.argv[1:]]))
