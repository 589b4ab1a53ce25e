"""Semantic segmentation from a config: train, evaluate, predict, ship."""
import sys
from importlib.util import find_spec

from mmseg.version import __version__, parse_version_info, version_info

__all__ = ['__version__', 'parse_version_info', 'version_info']

# Several distributions bring these; an installation without dependencies has to bring one of each.
for _name in ('mmengine', 'mmcv'):
    if find_spec(_name) is None:
        raise ModuleNotFoundError(
            f'mmseg needs {_name}, which is not installed: pip install mmengine mmcv-lite brings it; the full mmcv, '
            'and onedl-mmengine with onedl-mmcv, serve as well', name=_name)

# `Config.fromfile` learns our names of configs where mmengine is there already: importing it takes far longer.
if 'mmengine.config' in sys.modules:
    from mmseg.utils.config import take_package_names
    take_package_names()
    del take_package_names
