"""Plot what trainings logged: see `python tools/analyze_logs.py --help`."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
if __name__ == '__main__':
    from mmseg.cli import main
    sys.exit(main(['analyze-logs', *sys.argv[1:]]))
