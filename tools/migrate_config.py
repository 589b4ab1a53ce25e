"""Write a config of 0.x as one of 1.x: see `python tools/migrate_config.py --help`."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
if __name__ == '__main__':
    from mmseg.cli import main
    sys.exit(main(['migrate_config', *sys.argv[1:]]))
