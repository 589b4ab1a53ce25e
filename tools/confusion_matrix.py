"""Show which class is taken for which: see `python tools/confusion_matrix.py --help`."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
if __name__ == '__main__':
    from mmseg.cli import main
    sys.exit(main(['confusion_matrix', *sys.argv[1:]]))
