"""What the runner needs beyond mmengine: hooks, loops, optimiser constructors, schedulers."""
from mmseg.utils.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(__name__, {
    'hooks.visualization_hook': ['SegVisualizationHook'],
    'optimizers.force_default_constructor': ['ForceDefaultOptimWrapperConstructor'],
    'optimizers.layer_decay_optimizer_constructor': ['LayerDecayOptimizerConstructor',
        'LearningRateDecayOptimizerConstructor'],
    'schedulers.poly_ratio_scheduler': ['PolyLRRatio'],
})
