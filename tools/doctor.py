"""Look for what is wrong with a data set: see `python tools/doctor.py --help`."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
if __name__ == '__main__':
    from mmseg.cli import main
    sys.exit(main(['doctor', *sys.argv[1:]]))
