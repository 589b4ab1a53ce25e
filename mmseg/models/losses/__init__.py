"""Losses: pure functions, and classes that hold their options."""
from mmseg.utils.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(__name__, {
    'accuracy': ['Accuracy', 'accuracy'],
    'boundary_loss': ['BoundaryLoss'],
    'cross_entropy_loss': ['CrossEntropyLoss', 'binary_cross_entropy', 'cross_entropy', 'mask_cross_entropy'],
    'dice_loss': ['DiceLoss'],
    'focal_loss': ['FocalLoss'],
    'huasdorff_distance_loss': ['HuasdorffDisstanceLoss'],
    'kldiv_loss': ['KLDivLoss'],
    'lovasz_loss': ['LovaszLoss'],
    'mask_losses': ['MaskCrossEntropyLoss', 'MaskDiceLoss', 'MaskFocalLoss'],
    'ohem_cross_entropy_loss': ['OhemCrossEntropy'],
    'silog_loss': ['SiLogLoss'],
    'tversky_loss': ['TverskyLoss'],
    'utils': ['reduce_loss', 'weight_reduce_loss', 'weighted_loss'],
})
