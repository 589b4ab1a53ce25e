"""Make a checkpoint ready to be published: see `python tools/misc/publish_model.py --help`."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
if __name__ == '__main__':
    from mmseg.cli import main
    sys.exit(main(['publish_model', *sys.argv[1:]]))
