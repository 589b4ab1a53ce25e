"""What a bug report should say about the machine."""
from __future__ import annotations

import importlib
import sys

from mmseg.version import __version__


def hide_broken_torchvision() -> None:
    """Let a torchvision built for another PyTorch count as absent: mmengine imports it wherever it is installed."""
    try:
        importlib.import_module('torchvision')
    except ImportError:
        pass
    except Exception:  # whatever its registration of operators stumbles over
        sys.modules['torchvision'] = None


def collect_env() -> dict[str, str]:
    """Return the versions of Python, PyTorch, CUDA, OpenCV, mmengine and this library by name."""
    from mmengine.utils import get_git_hash
    from mmengine.utils.dl_utils import collect_env as collect_base_env
    hide_broken_torchvision()
    return {**collect_base_env(), 'MMSegmentation': f'{__version__}+{get_git_hash()[:7]}'}
