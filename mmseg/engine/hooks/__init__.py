"""Hooks."""
from mmseg.utils.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(__name__, {
    'checkpoint_hook': ['CheckpointHook'],
    'finite_loss_hook': ['FiniteLossHook', 'NonFiniteLossError'],
    'progress_hook': ['ProgressHook'],
    'visualization_hook': ['SegVisualizationHook'],
})
