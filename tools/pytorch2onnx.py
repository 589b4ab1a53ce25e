"""Write a model as an ONNX file: see `python tools/pytorch2onnx.py --help`."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
if __name__ == '__main__':
    from mmseg.cli import main
    sys.exit(main(['export', 'onnx', *sys.argv[1:]]))
