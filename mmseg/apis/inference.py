"""A model from a config and a checkpoint, its predictions for images, and pictures of them."""
from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from mmseg.apis.class_info import class_info, classes_of_checkpoint
from mmseg.apis.pipeline import ImagePipeline, predict_prepared
from mmseg.engine.classes import fill_num_classes
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from mmseg.utils.checkpoint import load_weights, read_checkpoint
from mmseg.utils.config import find_config, read_config, require_model
from mmseg.utils.errors import InputError
from mmseg.utils.model_zoo import weights_of_config

if TYPE_CHECKING:
    from mmengine.config import Config

    from mmseg.models.segmentors.base import BaseSegmentor

ImageType = str | os.PathLike | np.ndarray


def choose_device(device: str | None) -> str:
    """Return a device after checking that it is there; None means the first GPU, or the CPU where there is none.

    Raises:
        InputError: it is not there.
    """
    if device is None:
        return 'cuda:0' if torch.cuda.is_available() else 'cpu'
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        here = ', '.join(['cpu', *(f'cuda:{i}' for i in range(torch.cuda.device_count()))])
        raise InputError(f'the device {device!r} is not here: this machine has {here}') from error
    return device


def init_model(config: str | Path | Config, checkpoint: str | None = None, device: str = 'cuda:0',
               cfg_options: dict | None = None, pretrained: bool = False) -> BaseSegmentor:
    """Build a model, load its weights and make it ready to predict.

    Args:
        config: a config, its path, or the name of a published one.
        checkpoint: path or address of the weights; without, they are random.
        device: where it shall run; the CPU, with a warning, where there is no CUDA.
        cfg_options: values to set in the config, by dotted key.
        pretrained: without a checkpoint, take the weights that are published for this config; they are fetched once
            (see :mod:`mmseg.utils.download`).

    Returns:
        The model in evaluation mode, with its config as `cfg` and names and colours of classes as `dataset_meta`.

    Raises:
        InputError: config, checkpoint or device cannot be used.
    """
    if str(device).startswith('cuda') and not torch.cuda.is_available():
        warnings.warn(f'there is no CUDA here: the model runs on the CPU instead of {device}', stacklevel=2)
        device = 'cpu'
    if pretrained and checkpoint is None:
        checkpoint = published_weights(config)
    return load_model(read_config(config, cfg_options), checkpoint, choose_device(device))


def published_weights(config: str | Path | Config) -> str:
    """Return the address of the weights that are published for a config.

    Raises:
        InputError: there are none.
    """
    file = find_config(config if isinstance(config, (str, os.PathLike)) else config.filename or 'a config of no file')
    weights = weights_of_config(file)
    if weights is None:
        raise InputError(f'no weights are published for {file.stem}: give a checkpoint, or choose a model of the list '
                         'that `mmseg models --weights` prints')
    return weights


def load_model(cfg: Config, checkpoint: str | None, device: str) -> BaseSegmentor:
    """Do the work of :func:`init_model` for a config that has been read and a device that is there."""
    from mmengine.model.utils import revert_sync_batchnorm
    from mmengine.registry import init_default_scope
    require_model(cfg)
    init_default_scope(cfg.get('default_scope') or 'mmseg')
    torch.set_flush_denormal(True)  # subnormal weights make convolutions many times slower on a CPU
    cfg.model.pretrained = None
    content = None if checkpoint is None else read_checkpoint(checkpoint)
    # The checkpoint knows its classes; the data set that it was trained on need not be here.
    known = classes_of_checkpoint(content)
    fill_num_classes(cfg.model, dict(metainfo=dict(classes=known)) if known else (
        cfg.get('train_dataloader') or cfg.get('test_dataloader') or {}).get('dataset'))
    model = revert_sync_batchnorm(MODELS.build(cfg.model))
    if content is None:
        warnings.warn('no checkpoint is given: the weights are random and the predictions mean nothing', stacklevel=3)
    else:
        load_weights(model, content, name=str(checkpoint))
    model.cfg = cfg
    model.dataset_meta = class_info(cfg, content, getattr(model, 'num_classes', None))
    return model.to(device).eval()


def inference_model(model: BaseSegmentor,
                    img: ImageType | Sequence[ImageType]) -> SegDataSample | list[SegDataSample]:
    """Predict one image or several, of any sizes.

    Args:
        model: from :func:`init_model`.
        img: a path, an array (H, W, 3) in BGR, or a list of them.

    Returns:
        A sample with `pred_sem_seg` (1, H, W) and `seg_logits` (C, H, W) of the image's size; a list for a list.
    """
    several = isinstance(img, (list, tuple))
    pipeline = ImagePipeline(model.cfg)
    samples = predict_prepared(model, map(pipeline, img if several else [img]))
    return samples if several else samples[0]


def show_result_pyplot(model: BaseSegmentor, img: str | np.ndarray, result: SegDataSample, opacity: float = 0.5,
                       title: str = '', draw_gt: bool = True, draw_pred: bool = True, wait_time: float = 0,
                       show: bool = True, with_labels: bool | None = True, save_dir: str | None = None,
                       out_file: str | None = None) -> np.ndarray:
    """Draw a result over its image.

    Args:
        model: gives names and colours of the classes.
        img: a path, or an array (H, W, 3) in RGB.
        result: of :func:`inference_model`.
        opacity: how much the colours cover the image, 0 to 1.
        title: of the window.
        draw_gt, draw_pred: whether to draw truth and prediction, where the result holds them.
        wait_time: seconds to show it for; 0 waits for a key.
        show: whether to show it.
        with_labels: whether to write the names of the classes.
        save_dir: folder of the visualizer's backends.
        out_file: where to write the picture.

    Returns:
        The picture, RGB (H, W, 3); twice as wide with truth and prediction.
    """
    from mmseg.visualization import SegLocalVisualizer
    from mmseg.visualization.files import read_image
    image = img if isinstance(img, np.ndarray) else read_image(img)
    backends = [dict(type='LocalVisBackend')] if save_dir else None
    visualizer = SegLocalVisualizer(vis_backends=backends, save_dir=save_dir, alpha=opacity, **model.dataset_meta)
    picture = visualizer.draw(image, result, draw_gt, draw_pred, bool(with_labels))
    visualizer.publish(title or 'result', picture, show, wait_time, out_file)
    return picture
