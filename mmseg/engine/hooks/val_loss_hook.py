"""The losses of the validation images, beside the metrics."""
from __future__ import annotations

from collections import defaultdict

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce, broadcast_object_list
from mmengine.hooks import Hook
from mmengine.structures import PixelData

from mmseg.registry import HOOKS
from mmseg.structures import SegDataSample
from mmseg.utils.checkpoint import unwrap


@HOOKS.register_module()
class ValLossHook(Hook):
    """Compute every loss for every validation image and report their means as figures of the validation.

    They are called as in training, with `loss` for the sum, so that `EarlyStoppingHook(monitor='loss')` and
    `CheckpointHook(save_best='loss')` can follow them. Dropout is off, running statistics are used, and images count
    one by one, so the figures depend neither on the batch size nor on the number of processes. It takes a second
    forward pass for each image.
    """

    priority = 'HIGHEST'  # the figures go to the hooks that log, save and stop

    def before_val_epoch(self, runner) -> None:
        self._sums, self._images = defaultdict(float), 0

    @torch.no_grad()
    def after_val_iter(self, runner, batch_idx: int, data_batch: dict | None = None, outputs=None) -> None:
        model = unwrap(runner.model)
        for image, sample in zip(data_batch['inputs'], data_batch['data_samples']):
            batch = model.data_preprocessor(dict(inputs=[image], data_samples=[sample]), False)
            batch['data_samples'] = [_fitted(part, batch['inputs']) for part in batch['data_samples']]
            _, figures = model.parse_losses(model(**batch, mode='loss'))
            for name, value in figures.items():
                if 'loss' in name:
                    self._sums[name] += float(value)
            self._images += 1

    def after_val_epoch(self, runner, metrics: dict | None = None) -> None:
        # A process may have had no image, and so know no name: all take the names that the first one, which has, knows.
        names = _names_of_first(sorted(self._sums))
        totals = torch.tensor([self._images, *(self._sums[name] for name in names)], dtype=torch.float64)
        all_reduce(totals)
        if metrics is not None and totals[0]:
            metrics.update(zip(names, (totals[1:] / totals[0]).tolist()))


def _names_of_first(names: list[str]) -> list[str]:
    box = [names]
    broadcast_object_list(box)
    return box[0]


def _fitted(sample: SegDataSample, images: torch.Tensor) -> SegDataSample:
    """A sample whose labels cover a padded image: what was added is ignored.

    Labels may have another size than the image, to which the head enlarges its logits; padding grows in proportion.
    """
    height, width = sample.metainfo['img_shape'][:2]
    padded = images.shape[-2:]
    if tuple(padded) == (height, width):
        return sample
    fitted = sample.clone()
    for field, ignored in (('gt_sem_seg', 255), ('gt_edge_map', 255), ('gt_depth_map', 0)):
        if field in fitted:
            labels = getattr(fitted, field).data
            below = round((padded[0] - height) * labels.shape[-2] / height)
            right = round((padded[1] - width) * labels.shape[-1] / width)
            setattr(fitted, field, PixelData(data=F.pad(labels, (0, right, 0, below), value=ignored)))
    return fitted
