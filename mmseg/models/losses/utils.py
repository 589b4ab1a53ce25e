"""What all losses share: reduction, class weights, a check of the labels, and the base class that holds the options."""
from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import mmengine
import numpy as np
import torch
from torch import Tensor, nn

from mmseg.ops.wrong_labels import wrong_labels

REDUCTIONS = ('none', 'mean', 'sum')
EPSILON = torch.finfo(torch.float32).eps


def get_class_weight(class_weight: Sequence[float] | str | None) -> list[float] | None:
    """Return class weights as a list, read from a `.npy`, `.json` or `.yaml` file where a path is given.

    Raises:
        ValueError: the path is a pickle, which could run code of whoever wrote it.
    """
    if class_weight is None:
        return None
    if isinstance(class_weight, (str, Path)):
        suffix = Path(class_weight).suffix
        if suffix in ('.pkl', '.pickle'):
            raise ValueError(f'class_weight={str(class_weight)!r} is a pickle, which is not opened because it can run '
                             'any code: save the weights as .npy (numpy.save) or as a list in .json')
        class_weight = np.load(class_weight) if suffix == '.npy' else mmengine.load(class_weight)
    return [float(value) for value in class_weight]


def reduce_loss(loss: Tensor, reduction: str) -> Tensor:
    """Return `loss` as it is ('none'), its mean ('mean') or its sum ('sum')."""
    if reduction == 'none':
        return loss
    if reduction not in REDUCTIONS:
        raise ValueError(f'reduction={reduction!r}: choose one of {REDUCTIONS}')
    return loss.mean() if reduction == 'mean' else loss.sum()


def weight_reduce_loss(loss: Tensor,
                       weight: Tensor | None = None,
                       reduction: str = 'mean',
                       avg_factor: float | Tensor | None = None) -> Tensor:
    """Multiply `loss` by `weight`, of as many dimensions, and reduce it.

    Args:
        avg_factor: what the sum is divided by when `reduction='mean'`, instead of the number of elements.
    """
    if weight is not None:
        if weight.dim() != loss.dim() or (weight.dim() > 1 and weight.size(1) not in (1, loss.size(1))):
            raise ValueError(f'a weight of shape {tuple(weight.shape)} does not fit a loss of shape '
                             f'{tuple(loss.shape)}: it needs as many dimensions, and 1 or as many channels')
        loss = loss * weight
    if avg_factor is None or reduction == 'none':
        return reduce_loss(loss, reduction)
    if reduction != 'mean':
        raise ValueError(f"avg_factor goes with reduction='mean' or 'none', not with {reduction!r}")
    return loss.sum() / (avg_factor + EPSILON)


def weighted_loss(loss_func: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Give an element-wise loss `f(pred, target, **kwargs)` the arguments `weight`, `reduction` and `avg_factor`.

    >>> @weighted_loss
    ... def l1_loss(pred, target):
    ...     return (pred - target).abs()
    >>> l1_loss(torch.tensor([0., 2., 3.]), torch.ones(3), weight=torch.tensor([1., 0., 1.]), avg_factor=2)
    tensor(1.5000)
    """

    @functools.wraps(loss_func)
    def reduced(pred: Tensor, target: Tensor, weight: Tensor | None = None, reduction: str = 'mean',
                avg_factor: float | Tensor | None = None, **kwargs) -> Tensor:
        return weight_reduce_loss(loss_func(pred, target, **kwargs), weight, reduction, avg_factor)

    return reduced


def full_precision(tensor: Tensor) -> Tensor:
    """Half precision to float32, anything else unchanged: sums over pixels overflow in fp16 and round off in bf16."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def both_classes(logits: Tensor) -> Tensor:
    """Logits of two classes, whose softmax is the sigmoid, where there is one channel (N, 1, ...) for class 1."""
    return torch.cat([torch.zeros_like(logits), logits], dim=1) if logits.size(1) == 1 else logits


def channel_vector(values: Tensor, like: Tensor) -> Tensor:
    """Reshape C values so that they broadcast along the channels of `like`, (N, C, ...)."""
    return values.view(-1, *[1] * (like.dim() - 2))


def values_on(values: Sequence[float] | Tensor, device: torch.device) -> Tensor:
    """Numbers as float32 on `device`, which does not wait for them."""
    return torch.as_tensor(values, dtype=torch.float32).to(device, non_blocking=True)


def one_hot(label: Tensor, num_classes: int) -> Tensor:
    """Which class each pixel has, as booleans: N ... -> N C ...; a label that is no class is false everywhere."""
    label = label.unsqueeze(1)
    return label == channel_vector(torch.arange(num_classes, device=label.device), label)


def valid_pixels(label: Tensor, *ignored: int | None) -> Tensor:
    """Which pixels of `label` have none of the ignored values, as booleans of its shape."""
    valid = torch.ones_like(label, dtype=torch.bool)
    for index in ignored:
        if index is not None:
            valid &= label != index
    return valid


def check_labels(label: Tensor, num_classes: int, ignore_index: int | None) -> Tensor:
    """Return `label` if each of its values is a class or `ignore_index`.

    On the CPU this raises at once. A GPU would have to be waited for, so there the offending pixels are ignored (a
    kernel that met them would end the process with an assertion) and the next call that finds the verdict ready
    raises. A compiled graph checks nothing.

    Raises:
        ValueError: some values are neither; the message lists them with their counts.
    """
    if torch.compiler.is_compiling() or label.is_meta:
        return label
    bad = (label < 0) | (label >= num_classes)
    if ignore_index is not None:
        bad &= label != ignore_index
    if label.is_cuda:
        return _DEFERRED.check(label, bad, num_classes, ignore_index)
    if bad.any():
        raise wrong_labels(label[bad], num_classes, ignore_index)
    return label


class _DeferredCheck:
    """Verdicts about labels on a GPU, read once they have arrived so that nobody waits for the device."""

    def __init__(self):
        self._pending = []

    def check(self, label: Tensor, bad: Tensor, num_classes: int, ignore_index: int | None) -> Tensor:
        while self._pending and self._pending[0][0].query():
            _, verdict, *found = self._pending.pop(0)
            if verdict:
                self._pending.clear()
                raise wrong_labels(found[0][found[1]], *found[2:])
        if not torch.cuda.is_current_stream_capturing() and len(self._pending) < 4:
            verdict = bad.any().to('cpu', non_blocking=True)
            arrived = torch.cuda.Event()
            arrived.record()
            self._pending.append((arrived, verdict, label, bad, num_classes, ignore_index))
        return label.masked_fill(bad, 0 if ignore_index is None else ignore_index)


_DEFERRED = _DeferredCheck()


class SegmentationLoss(nn.Module):
    """Options common to the losses.

    Args:
        loss_name: key in the log; must begin with `loss_`, which is what makes it part of the sum that is minimised.
        loss_weight: factor of the loss.
        class_weight: one factor for each class, or a file of them (see :func:`get_class_weight`).
        reduction: 'none', 'mean' or 'sum'.
    """

    def __init__(self,
                 loss_name: str,
                 loss_weight: float = 1.0,
                 class_weight: Sequence[float] | str | None = None,
                 reduction: str = 'mean'):
        super().__init__()
        if not loss_name.startswith('loss_'):
            raise ValueError(f"loss_name={loss_name!r} must begin with 'loss_', or the loss would not be minimised: "
                             f"use 'loss_{loss_name}'")
        if reduction not in REDUCTIONS:
            raise ValueError(f'reduction={reduction!r}: choose one of {REDUCTIONS}')
        self._loss_name = loss_name
        self.loss_weight = loss_weight
        self.class_weight = get_class_weight(class_weight)
        self.reduction = reduction

    @property
    def loss_name(self) -> str:
        """Key of the loss in the log."""
        return self._loss_name

    def reduction_or(self, override: str | None) -> str:
        """The reduction of this call: `override` if there is one, else the one of the constructor."""
        if override not in (None, *REDUCTIONS):
            raise ValueError(f'reduction_override={override!r}: choose one of {REDUCTIONS} or None')
        return override or self.reduction

    def class_weight_on(self, device: torch.device) -> Tensor | None:
        """The class weights, if there are any, as float32 on `device`."""
        return None if self.class_weight is None else values_on(self.class_weight, device)
