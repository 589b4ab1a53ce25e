"""What the runner needs beyond mmengine: hooks, loops, optimiser constructors, schedulers."""
from mmseg.utils.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(__name__, {
    'draws': ['Draw', 'DrawSampler', 'SeededDataset'],
    'fsdp': ['MMFullyShardedDataParallel'],
    'hooks.checkpoint_hook': ['CheckpointHook'],
    'hooks.early_stopping_hook': ['EarlyStoppingHook'],
    'hooks.finite_loss_hook': ['FiniteLossHook', 'NonFiniteLossError'],
    'hooks.gradient_check_hook': ['GradientCheckHook'],
    'hooks.progress_hook': ['ProgressHook'],
    'hooks.val_loss_hook': ['ValLossHook'],
    'hooks.visualization_hook': ['SegVisualizationHook'],
    'loops': ['EpochBasedTrainLoop', 'IterBasedTrainLoop'],
    'optimizers.amp_optim_wrapper': ['AmpOptimWrapper'],
    'optimizers.force_default_constructor': ['ForceDefaultOptimWrapperConstructor'],
    'optimizers.layer_decay_optimizer_constructor': ['LayerDecayOptimizerConstructor',
        'LearningRateDecayOptimizerConstructor'],
    'processes': ['LaunchError'],
    'runner': ['Runner'],
    'schedulers.poly_ratio_scheduler': ['PolyLRRatio'],
    'schedulers.torch_schedulers': ['CosineAnnealingWarmRestarts', 'CyclicLR', 'LambdaLR', 'MultiplicativeLR',
        'PolynomialLR'],
})
