"""Pixel samplers: which pixels of an image a loss looks at."""
from mmseg.utils.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(__name__, {
    'base_pixel_sampler': ['BasePixelSampler'],
    'builder': ['build_pixel_sampler'],
    'ohem_pixel_sampler': ['OHEMPixelSampler'],
})
