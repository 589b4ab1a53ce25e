"""Encoders of class names."""
from mmseg.utils.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(__name__, {
    'clip_text_encoder': ['CLIPTextEncoder', 'QuickGELU'],
})
