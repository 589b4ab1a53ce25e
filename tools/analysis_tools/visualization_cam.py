"""Show which pixels speak for a class: see `python tools/analysis_tools/visualization_cam.py --help`."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
if __name__ == '__main__':
    from mmseg.cli import main
    sys.exit(main(['visualization_cam', *sys.argv[1:]]))
