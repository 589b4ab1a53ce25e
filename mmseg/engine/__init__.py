"""What the runner needs beyond mmengine: hooks, loops, optimiser constructors, schedulers."""
from mmseg.utils.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(__name__, {
    'draws': ['Draw', 'DrawSampler', 'SeededDataset'],
    'hooks.checkpoint_hook': ['CheckpointHook'],
    'hooks.finite_loss_hook': ['FiniteLossHook', 'NonFiniteLossError'],
    'hooks.progress_hook': ['ProgressHook'],
    'hooks.visualization_hook': ['SegVisualizationHook'],
    'loops': ['EpochBasedTrainLoop', 'IterBasedTrainLoop'],
    'optimizers.force_default_constructor': ['ForceDefaultOptimWrapperConstructor'],
    'optimizers.layer_decay_optimizer_constructor': ['LayerDecayOptimizerConstructor',
        'LearningRateDecayOptimizerConstructor'],
    'runner': ['Runner'],
    'schedulers.poly_ratio_scheduler': ['PolyLRRatio'],
})
