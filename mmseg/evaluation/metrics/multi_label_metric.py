"""Overlap of classes that may share pixels."""
from __future__ import annotations

import torch
from torch import Tensor

from mmseg.registry import METRICS

from .iou_metric import IoUMetric


@METRICS.register_module()
class MultiLabelIoUMetric(IoUMetric):
    """:class:`IoUMetric` where a pixel has any number of classes; its arguments and figures.

    Labels and predictions are (C, H, W), 0 or 1; `ignore_index` in a label leaves that pixel out for that class. `aAcc`
    is the share of all labelled pairs of pixel and class that are found.
    """

    @staticmethod
    def intersect_and_union(pred_label: Tensor, label: Tensor, num_classes: int,
                            ignore_index: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Numbers of pixels of each class, (num_classes,): intersection, union, predicted, labelled."""
        if not len(pred_label) == len(label) == num_classes:
            raise ValueError(f'predictions {tuple(pred_label.shape)} and labels {tuple(label.shape)} do not fit '
                             f'{num_classes} classes, expected (C, H, W): load labels with LoadMultiLabelAnnotations, '
                             'pack them with PackMultiLabelInputs, and set `threshold` of the decode head')
        label = label.to(pred_label.device)
        valid = label != ignore_index
        predicted, labelled = (pred_label == 1) & valid, (label == 1) & valid
        both, either = predicted & labelled, predicted | labelled
        return tuple(torch.stack([part.sum() for part in mask]).cpu() for mask in (both, either, predicted, labelled))
