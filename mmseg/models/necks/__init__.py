"""Necks: what stands between a backbone and its heads."""
from mmseg.utils.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(__name__, {
    'featurepyramid': ['Feature2Pyramid'],
    'fpn': ['FPN'],
    'ic_neck': ['ICNeck'],
    'jpu': ['JPU'],
    'mla_neck': ['MLANeck'],
    'multilevel_neck': ['MultiLevelNeck'],
})
