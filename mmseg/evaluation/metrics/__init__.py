"""Metrics, all on one confusion matrix."""
from mmseg.utils.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(__name__, {
    'citys_metric': ['CityscapesMetric'],
    'depth_metric': ['DepthMetric'],
    'iou_metric': ['IoUMetric'],
    'multi_label_metric': ['MultiLabelIoUMetric'],
})
