"""Evaluate an exported model: see `python tools/deploy_test.py --help`."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
if __name__ == '__main__':
    from mmseg.cli import main
    sys.exit(main(['deploy-test', *sys.argv[1:]]))
