"""Parameter schedulers."""
from mmseg.utils.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(__name__, {
    'poly_ratio_scheduler': ['PolyLRRatio'],
    'torch_schedulers': ['CosineAnnealingWarmRestarts', 'CyclicLR', 'LambdaLR', 'MultiplicativeLR', 'PolynomialLR'],
})
