"""Images of the user's, of any size and kind, through the pipeline of a config and through a network."""
from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.dataset import pseudo_collate

from mmseg.registry import TRANSFORMS
from mmseg.utils.errors import InputError

# One street picture: enough to keep a GPU busy, and small images go through together up to this many pixels.
PIXELS_AT_ONCE = 1024 * 2048


def without_label_loading(steps: list) -> list:
    """Return a copy of a pipeline's config without the transforms that load labels, also inside `TestTimeAug`."""
    kept = []
    for step in steps:
        if isinstance(step, (list, tuple)):
            inner = without_label_loading(step)
            kept += [inner] if inner else []
        elif 'transforms' in step:
            kept.append(dict(step, transforms=without_label_loading(step['transforms'])))
        elif not (step['type'].startswith('Load') and 'Annotation' in step['type']):
            kept.append(step)
    return kept


def test_steps(cfg) -> list[dict]:
    """Find the pipeline that a config uses in evaluation.

    Raises:
        InputError: the config has none.
    """
    if cfg.get('test_pipeline'):
        return cfg.test_pipeline
    dataset = (cfg.get('test_dataloader') or {}).get('dataset', {})
    while 'pipeline' not in dataset and ('dataset' in dataset or 'datasets' in dataset):
        dataset = dataset['dataset'] if 'dataset' in dataset else dataset['datasets'][0]
    if 'pipeline' not in dataset:
        raise InputError(f'{cfg.get("filename") or "the config"} has neither `test_pipeline` nor '
                         '`test_dataloader.dataset.pipeline`, so images cannot be prepared: add one')
    return dataset['pipeline']


class ImagePipeline:
    """Prepares one image, a path or an array, as the test pipeline of a config does, but without labels.

    Args:
        cfg: the config.
    """

    def __init__(self, cfg):
        loader, *steps = without_label_loading(test_steps(cfg))
        self.load_file = TRANSFORMS.build(loader)
        self.color_type = loader.get('color_type', 'color')
        self.load_array = TRANSFORMS.build(
            dict(type='LoadImageFromNDArray', to_float32=loader.get('to_float32', False)))
        self.steps = [TRANSFORMS.build(step) for step in steps]

    def __call__(self, image: str | os.PathLike | np.ndarray | dict) -> dict:
        """Return `{'inputs': (C, H, W), 'data_samples': …}`; an array is (H, W, 3) in BGR, or (H, W).

        Raises:
            InputError: the image cannot be read.
        """
        if isinstance(image, dict):
            results = image if 'img' in image else self.load_file(image)
        elif isinstance(image, np.ndarray):
            results = self._load_array(image)
        else:
            results = self._load_path(str(image))
        for step in self.steps:
            results = step(results)
        return results

    def _load_array(self, image: np.ndarray) -> dict:
        if image.ndim == 2 and self.color_type == 'color':
            image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
        if image.ndim not in (2, 3) or 0 in image.shape:
            raise InputError(f'an image has the shape {image.shape}: expected (height, width, bands) or '
                             '(height, width)')
        return self.load_array(dict(img=image))

    def _load_path(self, path: str) -> dict:
        try:
            return self.load_file(dict(img_path=path))
        except OSError as error:
            raise InputError(f'cannot read the image {path}: {error.strerror or error}') from error


def half_precision(model: torch.nn.Module, wanted: bool) -> torch.autocast:
    """Return a context in which a network computes in float16 on a GPU, in bfloat16 on a CPU, where that is wanted."""
    device = next(model.parameters()).device.type
    return torch.autocast(device, torch.bfloat16 if device == 'cpu' else torch.float16, enabled=wanted)


@torch.no_grad()
def predict_prepared(model: torch.nn.Module, items: Iterable[dict], amp: bool = False) -> list:
    """Predict prepared images, those of one size together, and return their samples in the order of `items`."""
    results, waiting = {}, defaultdict(dict)

    def flush(shape: tuple[int, ...]) -> None:
        group = waiting.pop(shape)
        with half_precision(model, amp):
            results.update(zip(group, model.test_step(pseudo_collate(list(group.values())))))

    for position, item in enumerate(items):
        shape = tuple(item['inputs'].shape)
        waiting[shape][position] = item
        if (len(waiting[shape]) + 1) * shape[-1] * shape[-2] > PIXELS_AT_ONCE:
            flush(shape)
    for shape in list(waiting):
        flush(shape)
    return [results[position] for position in range(len(results))]


def images_in(folder: str | os.PathLike, others: tuple[str, ...] = ()) -> list[str]:
    """List the images of a folder, and files of other suffixes that are wanted, sorted by name.

    Raises:
        InputError: there is none.
    """
    suffixes = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp', '.ppm', '.pgm', *others)
    files = sorted(str(file) for file in Path(folder).iterdir() if file.suffix.lower() in suffixes)
    if not files:
        raise InputError(f'the folder {folder} holds no image (known are {", ".join(suffixes)})')
    return files
