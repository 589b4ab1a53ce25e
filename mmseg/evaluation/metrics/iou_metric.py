"""Intersection over union, Dice, F-score and accuracy of a data set."""
from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import torch
from mmengine.logging import print_log
from prettytable import PrettyTable
from torch import Tensor

from mmseg.ops import confusion_matrix
from mmseg.registry import METRICS

from .png import write_png
from .summed_metric import SummedMetric

ALLOWED_METRICS = ('mIoU', 'mDice', 'mFscore')
DEFAULT_METRICS = ['mIoU']


@METRICS.register_module()
class IoUMetric(SummedMetric):
    """Overlap of prediction and label for each class, over all pixels of the data set.

    Args:
        ignore_index: pixels of this label do not count.
        iou_metrics: some of 'mIoU' (gives mIoU, mAcc), 'mDice' (mDice, mAcc) and 'mFscore' (mFscore, mPrecision,
            mRecall); aAcc comes with each.
        nan_to_num: value of a class that occurs in no label and no prediction; None leaves it out of the means.
        beta: how many times recall counts as much as precision in the F-score.
        output_dir: folder for a PNG of each prediction, named as the image.
        format_only: only write these PNGs; there are no labels.
    """

    def __init__(self,
                 ignore_index: int = 255,
                 iou_metrics: Sequence[str] = DEFAULT_METRICS,
                 nan_to_num: int | None = None,
                 beta: int = 1,
                 collect_device: str = 'cpu',
                 output_dir: str | None = None,
                 format_only: bool = False,
                 prefix: str | None = None,
                 **kwargs):
        super().__init__(collect_device=collect_device, prefix=prefix)
        _check_names(iou_metrics)
        if format_only and output_dir is None:
            raise ValueError('format_only=True writes predictions to files: set output_dir to a folder')
        self.ignore_index = ignore_index
        self.metrics = iou_metrics
        self.nan_to_num = nan_to_num
        self.beta = beta
        self.output_dir = output_dir
        self.format_only = format_only

    @property
    def num_classes(self) -> int:
        return len(self.dataset_meta['classes'])

    def zeros(self) -> Tensor:
        return torch.zeros(4, self.num_classes, dtype=torch.int64)

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Count the pixels of each sample, and write its prediction to a file where that is asked for."""
        for sample in data_samples:
            pred = sample['pred_sem_seg']['data'].squeeze(0)  # 1 H W -> H W
            if not self.format_only:
                label = sample['gt_sem_seg']['data'].squeeze(0)
                self.add(torch.stack(self.intersect_and_union(pred, label, self.num_classes, self.ignore_index)))
            if self.output_dir is not None:
                # What the data set calls class 1 is predicted as 0 where its label 0 means unlabelled.
                offset = int(sample.get('reduce_zero_label') or False)
                write_png(self.output_dir, sample['img_path'], pred.cpu().numpy().astype(np.int32) + offset,
                          bits=8 if self.num_classes + offset <= 256 else 16)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Return the metrics in percent, and log those of each class.

        Args:
            results: what :meth:`intersect_and_union` returns, of single images or of sums of them.
        """
        if self.format_only:
            print_log(f'the predictions are in {self.output_dir}', 'current')
            return {}
        figures = self.total_area_to_metrics(*self.total(results), self.metrics, self.nan_to_num, self.beta)
        per_class = {name: np.round(values * 100, 2) for name, values in figures.items() if name != 'aAcc'}
        table = PrettyTable()
        table.add_column('Class', list(self.dataset_meta['classes']))
        for name, values in per_class.items():
            table.add_column(name, values.tolist())
        print_log(f'per class results:\n{table.get_string()}', 'current')
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', RuntimeWarning)  # a mean of nothing is nan
            means = {name: float(np.round(np.nanmean(values) * 100, 2)) for name, values in figures.items()}
        return {name if name == 'aAcc' else f'm{name}': value for name, value in means.items()}

    @staticmethod
    def intersect_and_union(pred_label: Tensor, label: Tensor, num_classes: int,
                            ignore_index: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Numbers of pixels of each class, (num_classes,): intersection, union, predicted, labelled."""
        matrix = confusion_matrix(pred_label, label, num_classes, ignore_index, outside_column=True).cpu()
        intersection = matrix.diagonal().clone()
        predicted = matrix[:, :num_classes].sum(0)
        labelled = matrix.sum(1)
        return intersection, predicted + labelled - intersection, predicted, labelled

    @staticmethod
    def total_area_to_metrics(total_area_intersect: np.ndarray,
                              total_area_union: np.ndarray,
                              total_area_pred_label: np.ndarray,
                              total_area_label: np.ndarray,
                              metrics: Sequence[str] = DEFAULT_METRICS,
                              nan_to_num: int | None = None,
                              beta: int = 1) -> dict[str, np.ndarray]:
        """Metrics, as fractions, from the numbers of pixels of each class: `aAcc` one value, the others (num_classes,).

        Raises:
            KeyError: a metric is not known.
        """
        metrics = _check_names(metrics)
        hits, union, predicted, labelled = (np.asarray(area, dtype=np.float64) for area in (
            total_area_intersect, total_area_union, total_area_pred_label, total_area_label))
        with np.errstate(divide='ignore', invalid='ignore'):
            figures = {'aAcc': np.asarray(hits.sum() / labelled.sum())}
            precision, recall = hits / predicted, hits / labelled
            for metric in metrics:
                if metric == 'mIoU':
                    figures.update(IoU=hits / union, Acc=recall)
                elif metric == 'mDice':
                    figures.update(Dice=2 * hits / (predicted + labelled), Acc=recall)
                else:
                    score = (1 + beta**2) * precision * recall / (beta**2 * precision + recall)
                    figures.update(Fscore=score, Precision=precision, Recall=recall)
        if nan_to_num is not None:
            figures = {name: np.nan_to_num(values, nan=nan_to_num) for name, values in figures.items()}
        return figures


def _check_names(metrics: Sequence[str] | str) -> Sequence[str]:
    metrics = [metrics] if isinstance(metrics, str) else metrics
    unknown = [metric for metric in metrics if metric not in ALLOWED_METRICS]
    if unknown:
        raise KeyError(f'metrics {unknown} are not known: choose among {ALLOWED_METRICS}')
    return metrics
