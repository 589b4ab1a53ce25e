"""Count multiplications and parameters: see `python tools/analysis_tools/get_flops.py --help`."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
if __name__ == '__main__':
    from mmseg.cli import main
    sys.exit(main(['get_flops', *sys.argv[1:]]))
