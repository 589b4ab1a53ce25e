"""Optimiser constructors."""
from mmseg.utils.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(__name__, {
    'amp_optim_wrapper': ['AmpOptimWrapper'],
    'force_default_constructor': ['ForceDefaultOptimWrapperConstructor'],
    'layer_decay_optimizer_constructor': ['LayerDecayOptimizerConstructor', 'LearningRateDecayOptimizerConstructor'],
})
