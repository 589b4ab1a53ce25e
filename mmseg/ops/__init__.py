"""Tensor functions without state: plain PyTorch, nothing compiled."""
from mmseg.utils.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(__name__, {
    'attention': ['criss_cross_attention', 'psa_mask'],
    'confusion': ['confusion_matrix'],
    'deformable_attention': ['multi_scale_deformable_attention'],
    'labels': ['Geometry', 'average_views', 'logits_to_labels', 'restore_logits'],
    'point_sample': ['point_sample'],
    'query_masks': ['QueryMasks'],
    'resize': ['resize'],
    'sliding': ['window_counts', 'window_grid'],
    'window_logits': ['WindowLogits'],
})
