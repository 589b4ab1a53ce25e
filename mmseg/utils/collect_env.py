"""What a bug report should say about the machine."""
from __future__ import annotations

from mmseg.version import __version__


def collect_env() -> dict[str, str]:
    """Return the versions of Python, PyTorch, CUDA, OpenCV, mmengine and this library by name."""
    from mmengine.utils import get_git_hash
    from mmengine.utils.dl_utils import collect_env as collect_base_env
    return {**collect_base_env(), 'MMSegmentation': f'{__version__}+{get_git_hash()[:7]}'}
