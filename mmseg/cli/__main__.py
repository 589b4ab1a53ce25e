"""`python -m mmseg.cli COMMAND …`."""
import sys

from mmseg.cli import main

if __name__ == '__main__':
    sys.exit(main())
