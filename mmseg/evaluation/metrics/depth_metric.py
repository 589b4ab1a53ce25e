"""Errors of estimated depths."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.logging import print_log
from prettytable import PrettyTable
from torch import Tensor

from mmseg.registry import METRICS

from .png import write_png
from .summed_metric import SummedMetric

NYU_CROP = (slice(45, 471), slice(41, 601))  # rows and columns of a 480x640 image in which NYU depths are reliable


def depth_errors(pred: Tensor, target: Tensor) -> Tensor:
    """Errors of N depths, in the order of :attr:`DepthMetric.METRICS`, as float64."""
    pred, target = pred.double(), target.double()
    ratio = torch.maximum(pred / target, target / pred)
    gap = pred - target
    log_gap = pred.log() - target.log()
    square = gap.square()
    log_square = log_gap.square().mean()
    return torch.stack([
        *((ratio < 1.25**power).double().mean() for power in (1, 2, 3)),
        (gap.abs() / target).mean(),
        (square / target).mean(),
        square.mean().sqrt(),
        log_square.sqrt(),
        (pred.log10() - target.log10()).abs().mean(),
        (log_square - 0.5 * log_gap.mean().square()).sqrt(),
    ])


@METRICS.register_module()
class DepthMetric(SummedMetric):
    """Errors of each image, averaged over the images. An image in which no depth is known does not count.

    Args:
        depth_metrics: some of :attr:`METRICS`; None: all of them.
        min_depth_eval: only depths above this count.
        max_depth_eval: only depths below this count.
        crop_type: 'nyu_crop' evaluates the middle of the 480x640 images of NYU only.
        depth_scale_factor: what depths are multiplied by in the files.
        output_dir: folder for a 16-bit PNG of each prediction, named as the image.
        format_only: only write these PNGs; there are no labels.
    """

    METRICS = ('d1', 'd2', 'd3', 'abs_rel', 'sq_rel', 'rmse', 'rmse_log', 'log10', 'silog')

    def __init__(self,
                 depth_metrics: Sequence[str] | None = None,
                 min_depth_eval: float = 0.0,
                 max_depth_eval: float = float('inf'),
                 crop_type: str | None = None,
                 depth_scale_factor: float = 1.0,
                 collect_device: str = 'cpu',
                 output_dir: str | None = None,
                 format_only: bool = False,
                 prefix: str | None = None,
                 **kwargs):
        super().__init__(collect_device=collect_device, prefix=prefix)
        unknown = sorted(set(depth_metrics or ()) - set(self.METRICS))
        if unknown:
            raise ValueError(f'depth_metrics {unknown} are not known: choose among {self.METRICS}')
        if crop_type not in (None, 'nyu_crop'):
            raise ValueError(f"crop_type={crop_type!r}: choose 'nyu_crop' or None")
        if format_only and output_dir is None:
            raise ValueError('format_only=True writes predictions to files: set output_dir to a folder')
        self.metrics = depth_metrics or self.METRICS
        self.min_depth_eval = min_depth_eval
        self.max_depth_eval = max_depth_eval
        self.crop_type = crop_type
        self.depth_scale_factor = depth_scale_factor
        self.output_dir = output_dir
        self.format_only = format_only

    def zeros(self) -> Tensor:
        return torch.zeros(len(self.METRICS) + 1, dtype=torch.float64)  # the errors, and the number of images

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Compute the errors of each sample, and write its prediction to a file where that is asked for."""
        for sample in data_samples:
            pred = sample['pred_depth_map']['data'].squeeze()
            if not self.format_only:
                target = sample['gt_depth_map']['data'].squeeze().to(pred)
                counted = self._counted(target)
                figures = self.zeros()
                if counted.any():
                    figures[:-1] = depth_errors(pred[counted], target[counted]).cpu()
                    figures[-1] = 1
                self.add(figures)
            if self.output_dir is not None:
                depths = pred.cpu().numpy() * self.depth_scale_factor
                write_png(self.output_dir, sample['img_path'], depths, bits=16)

    def _counted(self, target: Tensor) -> Tensor:
        known = (target > self.min_depth_eval) & (target < self.max_depth_eval)
        if self.crop_type is None:
            return known
        inside = torch.zeros_like(known)
        inside[NYU_CROP] = True
        return known & inside

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Return the mean errors, and log them."""
        if self.format_only:
            print_log(f'the predictions are in {self.output_dir}', 'current')
            return {}
        *errors, num_images = self.total(results).tolist()
        means = {name: error / num_images if num_images else float('nan') for name, error in zip(self.METRICS, errors)}
        metrics = {name: means[name] for name in self.metrics}
        table = PrettyTable()
        for name, value in metrics.items():
            table.add_column(name, [round(value, 5)])
        print_log(f'results:\n{table.get_string()}', 'current')
        return metrics
