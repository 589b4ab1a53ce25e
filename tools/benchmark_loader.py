"""Measure how fast a config loads its training images: see `python tools/benchmark_loader.py --help`."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
if __name__ == '__main__':
    from mmseg.cli import main
    sys.exit(main(['benchmark-loader', *sys.argv[1:]]))
