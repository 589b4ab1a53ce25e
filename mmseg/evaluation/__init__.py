"""Metrics."""
from mmseg.utils.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(__name__, {
    'metrics.citys_metric': ['CityscapesMetric'],
    'metrics.depth_metric': ['DepthMetric'],
    'metrics.iou_metric': ['IoUMetric'],
    'metrics.multi_label_metric': ['MultiLabelIoUMetric'],
})
