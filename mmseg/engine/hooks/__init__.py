"""Hooks."""
from mmseg.utils.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(__name__, {
    'checkpoint_hook': ['CheckpointHook'],
    'early_stopping_hook': ['EarlyStoppingHook'],
    'finite_loss_hook': ['FiniteLossHook', 'NonFiniteLossError'],
    'gradient_check_hook': ['GradientCheckHook'],
    'progress_hook': ['ProgressHook'],
    'val_loss_hook': ['ValLossHook'],
    'visualization_hook': ['SegVisualizationHook'],
})
