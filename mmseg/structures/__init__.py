"""What travels between the parts: a sample with its labels, predictions and logits; pixel samplers."""
from mmseg.utils.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(__name__, {
    'sampler.base_pixel_sampler': ['BasePixelSampler'],
    'sampler.builder': ['build_pixel_sampler'],
    'sampler.ohem_pixel_sampler': ['OHEMPixelSampler'],
    'seg_data_sample': ['SegDataSample'],
})
