"""Pixel samplers from configs."""
from __future__ import annotations

from mmseg.registry import TASK_UTILS

from .base_pixel_sampler import BasePixelSampler


def build_pixel_sampler(cfg: dict, **default_args) -> BasePixelSampler:
    """Build the pixel sampler of a config, with arguments for what the config leaves out (`context`, the head)."""
    return TASK_UTILS.build(cfg, default_args=default_args)
