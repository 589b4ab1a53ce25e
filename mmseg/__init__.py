"""Semantic segmentation from a config: train, evaluate, predict, ship."""
from importlib.util import find_spec

from mmseg.version import __version__, parse_version_info, version_info

__all__ = ['__version__', 'parse_version_info', 'version_info']

# Several distributions bring these, so none can be a hard requirement of ours.
for _name in ('mmengine', 'mmcv'):
    if find_spec(_name) is None:
        raise ModuleNotFoundError(
            f'mmseg needs {_name}, which is not installed: pip install "mmsegmentation[lite]" brings mmengine and '
            'mmcv-lite, "mmsegmentation[onedl]" their onedl builds; a full mmcv serves as well', name=_name)
