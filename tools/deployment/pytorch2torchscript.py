"""Write a model as a TorchScript file: see `python tools/deployment/pytorch2torchscript.py --help`."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
if __name__ == '__main__':
    from mmseg.cli import main
    shape = [] if '--shape' in sys.argv else ['--shape', '512', '512']
    sys.exit(main(['export', 'torchscript', *sys.argv[1:], *shape]))
