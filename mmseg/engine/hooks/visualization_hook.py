"""Pictures of truth and prediction while a runner trains, validates or tests."""
from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmseg.engine.fsdp import is_sharded
from mmseg.registry import HOOKS
from mmseg.structures import SegDataSample


@HOOKS.register_module()
class SegVisualizationHook(Hook):
    """Draws images with their labels and predictions; each picture is named after its image.

    Args:
        draw: whether to draw at all in validation and test.
        interval: draw every so many iterations of them.
        show: show the pictures in a window instead of only storing them.
        wait_time: seconds for which each is shown.
        backend_args: how to read the images from remote storage.
        out_dir: in the test, write `image | truth | prediction` here, in the subfolders that the images have; without
            it pictures go to the backends of the visualizer, as in validation.
        train_interval: every so many iterations of training, predict and draw the first image of the batch (0: never).
    """

    def __init__(self, draw: bool = False, interval: int = 50, show: bool = False, wait_time: float = 0.,
                 backend_args: dict | None = None, out_dir: str | None = None, train_interval: int = 0):
        self.draw, self.interval, self.train_interval = draw, interval, train_interval
        self.show, self.wait_time = show, wait_time if show else 0.
        self.backend_args, self.out_dir = backend_args, out_dir

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                       outputs: Sequence[SegDataSample] | None = None) -> None:
        if self._is_due(batch_idx):
            self._hand_over(runner, outputs, 'val')

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                        outputs: Sequence[SegDataSample] | None = None) -> None:
        if not self._is_due(batch_idx):
            return
        if self.out_dir is None:
            self._hand_over(runner, outputs, 'test')
        else:
            self._write(runner, outputs)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        if not self.train_interval or not self.every_n_train_iters(runner, self.train_interval):
            return
        if runner.rank and not is_sharded(runner.model):  # processes that share the weights predict together
            return
        image, sample = predict_first(runner.model, data_batch)
        if runner.rank:
            return
        runner.visualizer.add_datasample(f'train_{_stem(sample)}', image, sample, show=self.show,
                                         wait_time=self.wait_time, step=runner.iter + 1)

    def _is_due(self, batch_idx: int) -> bool:
        return (self.draw or self.show) and self.every_n_inner_iters(batch_idx, self.interval)

    def _image(self, sample: SegDataSample) -> np.ndarray:
        from mmseg.visualization.files import read_image
        return read_image(sample.img_path, self.backend_args)

    def _hand_over(self, runner: Runner, samples: Sequence[SegDataSample], mode: str) -> None:
        for sample in samples:
            runner.visualizer.add_datasample(f'{mode}_{_stem(sample)}', self._image(sample), sample, show=self.show,
                                             wait_time=self.wait_time, step=runner.iter)

    def _write(self, runner: Runner, samples: Sequence[SegDataSample]) -> None:
        roots = image_folders(runner.test_dataloader.dataset)
        for sample in samples:
            picture = runner.visualizer.draw_panels(self._image(sample), sample)
            out_file = Path(self.out_dir, relative_path(sample.img_path, roots)).with_suffix('.png')
            runner.visualizer.publish(out_file.stem, picture, self.show, self.wait_time, str(out_file))


def _stem(sample: SegDataSample) -> str:
    return Path(sample.metainfo.get('img_path') or 'image').stem


def image_folders(dataset) -> list[str]:
    """The folders in which a data set looks for its images."""
    folders = (getattr(dataset, 'data_prefix', None) or {}).get('img_path') or []
    return [folders] if isinstance(folders, str) else list(folders)


def relative_path(path: str, roots: Sequence[str]) -> str:
    """Return a path below the first of `roots` that contains it, or the bare name of a file that lies elsewhere."""
    for root in roots:
        if os.path.abspath(path).startswith(os.path.abspath(root) + os.sep):
            return os.path.relpath(path, root)
    return os.path.basename(path)


@torch.no_grad()
def predict_first(model: torch.nn.Module, data_batch: dict) -> tuple[np.ndarray, SegDataSample]:
    """Predict the first image of a training batch, as it came out of the augmentation.

    Returns:
        The image, RGB (H, W, 3), and a sample with its truth and prediction; the model stays in the mode it was in.
    """
    model = model.module if is_model_wrapper(model) else model
    pixels, truth = data_batch['inputs'][0], data_batch['data_samples'][0]
    size = tuple(pixels.shape[-2:])
    # a crop has a size of its own; `ori_shape` is that of the whole image, to which it must not be enlarged
    sample = SegDataSample(metainfo=dict(img_path=truth.metainfo.get('img_path'), ori_shape=size, img_shape=size,
                                         pad_shape=size, scale_factor=(1., 1.), flip=False))
    was_training = model.training
    model.eval()
    try:
        predicted = model.test_step(dict(inputs=[pixels], data_samples=[sample]))[0]
    finally:
        model.train(was_training)
    if 'gt_sem_seg' in truth:
        predicted.gt_sem_seg = truth.gt_sem_seg.new(data=truth.gt_sem_seg.data[..., :size[0], :size[1]].cpu())
    image = pixels[:3].permute(1, 2, 0).cpu().numpy()
    return np.ascontiguousarray(image[..., ::-1]).clip(0, 255).astype(np.uint8), predicted
