"""Which class was taken for which, in one pass over the pixels."""
from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from .wrong_labels import wrong_labels

BYTE_VALUES = 256
CHUNK = 2**18  # pixels at a time: they stay in the cache, and float32 counts them exactly


def confusion_matrix(pred: Tensor | np.ndarray,
                     label: Tensor | np.ndarray,
                     num_classes: int,
                     ignore_index: int | None = 255,
                     outside_column: bool = False) -> Tensor:
    """Count, for each class of the label (row), the pixels predicted as each class (column).

    Args:
        pred: predicted classes, of any integer type and shape.
        label: classes, of the same shape.
        ignore_index: pixels of this label are not counted.
        outside_column: append a column of the pixels whose prediction is none of the classes; they are otherwise left
            out of the matrix.

    Returns:
        int64 (num_classes, num_classes), or (num_classes, num_classes + 1), on the device of `pred`.

    Raises:
        ValueError: the shapes differ, or some labels are neither a class nor `ignore_index`.
    """
    pred, label = (torch.as_tensor(np.require(x, requirements='CW') if isinstance(x, np.ndarray) else x)
                   for x in (pred, label))
    if pred.shape != label.shape:
        raise ValueError(f'predictions {tuple(pred.shape)} and labels {tuple(label.shape)} must have the same shape: '
                         'resize the logits to the size of the labels')
    if pred.is_floating_point():
        raise ValueError(f'predictions of type {pred.dtype} cannot be counted: take the argmax of the logits')
    label = label.to(pred.device)
    matrix = None
    if pred.device.type == 'cpu' and num_classes <= BYTE_VALUES:
        matrix = _count_bytes(pred.numpy(), label.numpy(), num_classes, ignore_index)
    if matrix is None:
        matrix = _count(pred.flatten().long(), label.flatten().long(), num_classes, ignore_index)
    return matrix if outside_column else matrix[:, :num_classes].contiguous()


def _count_bytes(pred: np.ndarray, label: np.ndarray, num_classes: int, ignore_index: int | None) -> Tensor | None:
    """The matrix with its outside column, or None where some value is no byte.

    Every value of a byte has a row and a column while counting. So nothing is masked: ignored and wrong labels are
    simply found in their rows.
    """
    pred, label = pred.reshape(1, -1), label.reshape(1, -1)
    size = BYTE_VALUES
    counts = np.zeros((size, size), np.int64)
    for start in range(0, pred.size, CHUNK):
        part = [_as_bytes(values[:, start:start + CHUNK]) for values in (label, pred)]
        if part[0] is None or part[1] is None:
            return None
        counts += cv2.calcHist(part, [0, 1], None, [size, size], [0, size, 0, size]).astype(np.int64)
    if ignore_index is not None and 0 <= ignore_index < size:
        counts[ignore_index] = 0
    if counts[num_classes:].any():
        per_value = torch.from_numpy(counts[num_classes:].sum(1))
        raise wrong_labels(torch.arange(num_classes, size).repeat_interleave(per_value), num_classes, ignore_index)
    inside, outside = counts[:num_classes, :num_classes], counts[:num_classes, num_classes:]
    return torch.from_numpy(np.concatenate([inside, outside.sum(1, keepdims=True)], axis=1))


def _as_bytes(values: np.ndarray) -> np.ndarray | None:
    """Whole numbers as bytes, or None where one is below 0 or above 255, which shows in the `or` of all."""
    if values.dtype in (np.uint8, np.bool_):
        return np.ascontiguousarray(values, dtype=np.uint8)
    return values.astype(np.uint8) if 0 <= np.bitwise_or.reduce(values, axis=None) < BYTE_VALUES else None


def _count(pred: Tensor, label: Tensor, num_classes: int, ignore_index: int | None) -> Tensor:
    """The matrix with its outside column, for any device and any values, int64 (P,)."""
    wrong = (label < 0) | (label >= num_classes)
    if ignore_index is not None:
        ignored = label == ignore_index
        wrong &= ~ignored
        label = label.masked_fill(ignored, num_classes)  # the last row, which is dropped
    if wrong.any():
        raise wrong_labels(label[wrong], num_classes, ignore_index)
    pred = pred.masked_fill((pred < 0) | (pred >= num_classes), num_classes)
    size = num_classes + 1
    return torch.bincount(torch.add(pred, label, alpha=size), minlength=size**2).view(size, size)[:num_classes]
