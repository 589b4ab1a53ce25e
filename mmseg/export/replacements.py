"""Forms, for exporters, of what networks call but exporters stumble over: no network is written for them."""
from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

from mmseg.ops import pooling

with warnings.catch_warnings():
    warnings.simplefilter('ignore')  # mmcv-lite warns that it lacks compiled operators, which nothing here uses
    from mmcv.cnn.bricks.conv2d_adaptive_padding import Conv2dAdaptivePadding
    from mmcv.cnn.bricks.transformer import AdaptivePadding


class Exportable(nn.Module):
    """A network whose graph, recorded or traced, holds the forms of this module."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        with _methods_replaced(), _FunctionsReplaced():
            return self.network(image)


class _FunctionsReplaced(TorchFunctionMode):
    """Within it, some functions of PyTorch are computed by others, whatever calls them."""

    def __torch_function__(self, function: Callable, types, args=(), kwargs=None):
        replacement = _FUNCTIONS.get(function)
        result = NotImplemented if replacement is None else replacement(*args, **(kwargs or {}))
        return function(*args, **(kwargs or {})) if result is NotImplemented else result


def _average(x: torch.Tensor, output_size):
    return pooling.adaptive_avg_pool2d(x, output_size)


def _maximum(x: torch.Tensor, output_size, return_indices: bool = False):
    return NotImplemented if return_indices else pooling.adaptive_max_pool2d(x, output_size)


def _means_of_windows(x: torch.Tensor, kernel_size, stride=None, *args, **kwargs):
    """Windows whose size follows from the image's; others are fine as they are."""
    sides = kernel_size if isinstance(kernel_size, (list, tuple)) else (kernel_size,)
    if all(type(side) is int for side in sides) or args or kwargs or stride is None:
        return NotImplemented
    return pooling.window_means(x, kernel_size, stride)


def _remainder(x: torch.Tensor, divisor):
    """ONNX has no remainder by a number that is open."""
    if not isinstance(divisor, torch.SymInt):
        return NotImplemented
    return x.remainder(torch.scalar_tensor(divisor, dtype=x.dtype, device=x.device))


_FUNCTIONS = {F.adaptive_avg_pool2d: _average, F.adaptive_max_pool2d: _maximum, F.avg_pool2d: _means_of_windows,
              torch.Tensor.remainder: _remainder, torch.Tensor.__mod__: _remainder}


def _missing(side: int, kernel: int, stride: int, dilation: int) -> int:
    """Zeros that make the last step of a kernel whole, for sides that may stand for any number.

    mmcv divides floating-point numbers and asks whether there are any; both tie a graph to the size it was recorded at.
    """
    reach = (kernel - 1) * dilation + 1
    missing = ((side + stride - 1) // stride - 1) * stride + reach - side
    return missing if reach >= stride else torch.sym_max(0, missing)


def _padded(layer: nn.Module, x: torch.Tensor, corner: bool) -> torch.Tensor:
    sizes = zip(x.shape[2:], layer.kernel_size, layer.stride, layer.dilation)
    down, right = (_missing(*size) for size in sizes)
    top, left = (0, 0) if corner else (down // 2, right // 2)
    return F.pad(x, (left, right - left, top, down - top))


def _pad(self: AdaptivePadding, x: torch.Tensor) -> torch.Tensor:
    return _padded(self, x, self.padding == 'corner')


def _convolve(self: Conv2dAdaptivePadding, x: torch.Tensor) -> torch.Tensor:
    return F.conv2d(_padded(self, x, corner=False), self.weight, self.bias, self.stride, self.padding, self.dilation,
                    self.groups)


_METHODS = {AdaptivePadding: _pad, Conv2dAdaptivePadding: _convolve}


@contextmanager
def _methods_replaced() -> Iterator[None]:
    before = {layer: layer.forward for layer in _METHODS}
    try:
        for layer, forward in _METHODS.items():
            layer.forward = forward
        yield
    finally:
        for layer, forward in before.items():
            layer.forward = forward
