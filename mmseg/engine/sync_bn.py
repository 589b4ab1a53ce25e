"""Batch normalisation over the batches of all processes without CUDA, where PyTorch's own refuses to work."""
from __future__ import annotations

import traceback
from collections.abc import Mapping

import torch
from torch import distributed, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from mmseg.utils.errors import InputError


class _SumOverProcesses(Function):
    """The sum of a tensor over all processes; its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx, tensor: torch.Tensor) -> torch.Tensor:
        total = tensor.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: torch.Tensor) -> torch.Tensor:
        total = gradient.clone()
        distributed.all_reduce(total)
        return total


class ProcessSyncBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch normalisation whose statistics are those of the batches of all processes together.

    In two passes, the mean and then the squared distances from it, so that it is as exact as one process over the whole
    batch. Costs two small reductions forward and two backward. In evaluation it is plain batch normalisation.
    """

    def _check_input_dim(self, input: torch.Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f'batch normalisation takes (N, C, ...), not {tuple(input.shape)}')

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        if not self.training or not distributed.is_initialized():
            return super().forward(input)
        self._check_input_dim(input)
        values = input.float() if input.dtype in (torch.half, torch.bfloat16) else input
        axes = [0, *range(2, input.dim())]
        per_channel = (1, -1, *[1] * (input.dim() - 2))  # C -> 1 C 1 1
        size = values.new_tensor([input.numel() // input.shape[1]])
        totals = _SumOverProcesses.apply(torch.cat([values.sum(axes), size]))
        mean, count = totals[:-1] / totals[-1], totals[-1].detach()
        if input.numel() == input.shape[1] and count < 2:
            raise ValueError(f'Expected more than 1 value per channel when training, got input size {input.shape}')
        centred = values - mean.view(per_channel)
        variance = _SumOverProcesses.apply(centred.square().sum(axes)) / count
        self._remember(mean.detach(), variance.detach(), count)
        scale = torch.rsqrt(variance + self.eps)
        if not self.affine:
            return (centred * scale.view(per_channel)).to(input.dtype)
        return (centred * (scale * self.weight).view(per_channel) + self.bias.view(per_channel)).to(input.dtype)

    def _remember(self, mean: torch.Tensor, variance: torch.Tensor, count: torch.Tensor) -> None:
        if not self.track_running_stats:
            return
        self.num_batches_tracked += 1
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance * count / (count - 1), share)


def without_cuda(model: nn.Module) -> nn.Module:
    """Replace every `SyncBatchNorm` by one that works on any device; weights and statistics stay the same tensors."""
    if isinstance(model, nn.SyncBatchNorm):
        replacement = ProcessSyncBatchNorm(model.num_features, model.eps, model.momentum, model.affine,
                                           model.track_running_stats, device='meta')
        for name in ('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked'):
            setattr(replacement, name, getattr(model, name))
        return replacement.train(model.training)
    for name, child in model.named_children():
        setattr(model, name, without_cuda(child))
    return model


def explain_single_values(error: ValueError, model: nn.Module, batch: Mapping) -> None:
    """Say which batch normalisation got one value a channel, of which it can tell no variance, and what to change.

    Raises:
        InputError: that is what the error, raised by a training step of `model`, is about.
    """
    if 'Expected more than 1 value per channel' not in str(error):
        return
    owners = [frame.f_locals.get('self') for frame, _ in traceback.walk_tb(error.__traceback__)]
    norms = [owner for owner in owners if isinstance(owner, nn.modules.batchnorm._BatchNorm)]
    name = next((name for name, module in model.named_modules() if norms and module is norms[-1]), 'a norm layer')
    images = len(batch['inputs']) if isinstance(batch, Mapping) and 'inputs' in batch else 1
    raise InputError(
        f'{name.removeprefix("module.")} normalises over the batch and got one value a channel: the batch has {images} '
        'image, of which it pools all pixels into one. Set train_dataloader.batch_size to 2 or more (drop_last=True, '
        "where only the last batch is that small), train with several processes and SyncBN, or take norm_cfg=dict("
        "type='GN', num_groups=32)") from error
