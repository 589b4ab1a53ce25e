"""Networks: backbones, necks, decode heads, losses and the segmentors that join them."""
from mmseg.utils.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(__name__, {
    'builder': ['BACKBONES', 'HEADS', 'LOSSES', 'NECKS', 'SEGMENTORS', 'build_backbone', 'build_head', 'build_loss',
        'build_neck', 'build_segmentor'],
    'data_preprocessor': ['SegDataPreProcessor'],
})
