"""Print a config with everything that it inherits: see `python tools/misc/print_config.py --help`."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
if __name__ == '__main__':
    from mmseg.cli import main
    sys.exit(main(['print_config', *sys.argv[1:]]))
