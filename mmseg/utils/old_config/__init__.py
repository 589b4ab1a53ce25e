"""Configs of 0.x (`data=dict(samples_per_gpu=…)`, `lr_config`, `runner` …) said in the words of 1.x.

:func:`is_old` knows them, :func:`translate` says them anew, :func:`as_text` writes the result as a file to read.
"""
from mmseg.utils.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(__name__, {
    'keys': ['OLD_KEYS', 'is_old'],
    'text': ['as_text'],
    'whole': ['losses', 'translate', 'translate_file'],
})
