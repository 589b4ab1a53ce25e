"""The doors for notebooks and scripts."""
from mmseg.utils.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(__name__, {
    'inference': ['inference_model', 'init_model', 'show_result_pyplot'],
    'mmseg_inferencer': ['MMSegInferencer'],
    'old_names': ['inference_segmentor', 'init_segmentor'],
    'remote_sense_inferencer': ['RSImage', 'RSInferencer'],
})
