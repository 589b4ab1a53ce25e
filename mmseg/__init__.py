"""Semantic segmentation from a config: train, evaluate, predict, ship."""
from importlib.util import find_spec

from mmseg.version import __version__, parse_version_info, version_info

__all__ = ['__version__', 'parse_version_info', 'version_info']

# Several distributions bring these; an installation without dependencies has to bring one of each.
for _name in ('mmengine', 'mmcv'):
    if find_spec(_name) is None:
        raise ModuleNotFoundError(
            f'mmseg needs {_name}, which is not installed: pip install mmengine mmcv-lite brings it; the full mmcv, '
            'and onedl-mmengine with onedl-mmcv, serve as well', name=_name)
