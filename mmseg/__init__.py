"""Semantic segmentation from a config: train, evaluate, predict, ship."""
from mmseg.version import __version__, parse_version_info, version_info

__all__ = ['__version__', 'parse_version_info', 'version_info']
