"""The doors of 0.x, which older notebooks open; new ones use `init_model` and `inference_model`."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmseg.apis.inference import ImageType, inference_model, init_model

if TYPE_CHECKING:
    from mmengine.config import Config

    from mmseg.models.segmentors.base import BaseSegmentor


def init_segmentor(config: str | Path | Config, checkpoint: str | None = None,
                   device: str = 'cuda:0') -> BaseSegmentor:
    """Do what `init_model` does, under its name of 0.x."""
    return init_model(config, checkpoint, device)


def inference_segmentor(model: BaseSegmentor, imgs: ImageType | Sequence[ImageType]) -> list[np.ndarray]:
    """Predict images; returns the labels (H, W) of each in a list, as 0.x did, of one image too."""
    results = inference_model(model, imgs if isinstance(imgs, (list, tuple)) else [imgs])
    return [sample.pred_sem_seg.data[0].cpu().numpy() for sample in results]
