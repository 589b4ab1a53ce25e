"""Import path of 1.x: each transform lives in a file of its own concept now, and the package knows which."""
from mmseg.datasets.transforms import __all__, __dir__, __getattr__  # noqa: F401
