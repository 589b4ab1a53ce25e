"""Bipartite matching of predicted and true masks."""
from mmseg.utils.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(__name__, {
    'base_assigner': ['BaseAssigner'],
    'hungarian_assigner': ['HungarianAssigner'],
    'match_cost': ['ClassificationCost', 'CrossEntropyLossCost', 'DiceCost', 'FocalLossCost'],
})
