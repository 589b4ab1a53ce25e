"""Segmentors: backbone, neck and heads joined for training and prediction."""
from mmseg.utils.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(__name__, {
    'base': ['BaseSegmentor'],
    'cascade_encoder_decoder': ['CascadeEncoderDecoder'],
    'depth_estimator': ['DepthEstimator'],
    'encoder_decoder': ['EncoderDecoder'],
    'multimodal_encoder_decoder': ['MultimodalEncoderDecoder'],
    'seg_tta': ['SegTTAModel'],
})
