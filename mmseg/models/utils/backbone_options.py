"""What the options common to all backbones mean: `pretrained`, `frozen_stages`, `norm_eval` and `with_cp`."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import torch
from mmengine.model import BaseModule
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

# How a convolutional backbone starts where nothing else is said.
CONV_INIT = (dict(type='Kaiming', layer='Conv2d'), dict(type='Constant', val=1, layer=['_BatchNorm', 'GroupNorm']))


def choose_init_cfg(pretrained: str | None, init_cfg: dict | list | None,
                    default: dict | list | None = None) -> dict | list | None:
    """Return the one `init_cfg` that the arguments of a constructor amount to.

    Args:
        pretrained: address of weights; the older way to write `init_cfg=dict(type='Pretrained', checkpoint=...)`.
        init_cfg: how mmengine shall initialise the weights.
        default: the answer where neither is given.
    """
    if pretrained is None:
        return default if init_cfg is None else init_cfg
    if init_cfg is not None:
        raise ValueError(f'pretrained={pretrained!r} and init_cfg={init_cfg!r} both name initial weights: keep one')
    if not isinstance(pretrained, str):
        raise TypeError(f'pretrained must be the address of a checkpoint or None, found {type(pretrained).__name__}')
    return dict(type='Pretrained', checkpoint=pretrained)


def freeze(*modules: nn.Module) -> None:
    """Stop modules from learning: no gradient reaches their parameters, and they stay in evaluation mode.

    `train()` of the owner undoes the latter, so a backbone calls this again there.
    """
    for module in modules:
        module.eval()
        module.requires_grad_(False)


def batch_norms(module: nn.Module) -> Iterator[_BatchNorm]:
    """Iterate over every batch normalisation below a module, synchronised or not."""
    return (m for m in module.modules() if isinstance(m, _BatchNorm))


def hold_batch_norms(module: nn.Module) -> None:
    """Put every batch normalisation in evaluation mode, so that it uses and keeps its running statistics."""
    for norm in batch_norms(module):
        norm.eval()


class FreezableBackbone(BaseModule):
    """A backbone of which some stages can be kept from learning, and batch normalisations from tracking.

    A subclass that has `frozen_stages` freezes them in `_freeze_stages`, and calls that at the end of its constructor.
    """

    norm_eval = False  # keep the running statistics of every batch normalisation

    def _freeze_stages(self) -> None:
        """Freeze what shall not learn."""

    def train(self, mode: bool = True) -> FreezableBackbone:
        """Change the mode, but for frozen stages and, with `norm_eval`, batch normalisations."""
        super().train(mode)
        self._freeze_stages()
        if mode and self.norm_eval:
            hold_batch_norms(self)
        return self


def checkpointed(module: nn.Module, function: Callable[..., torch.Tensor], *inputs: torch.Tensor) -> torch.Tensor:
    """Run a function of `module` without keeping its activations: the backward pass computes them again.

    That second run leaves the running statistics of `module` alone, so training is the same with and without.
    """
    if torch.compiler.is_compiling():
        return checkpoint(function, *inputs, use_reentrant=False)
    return checkpoint(function, *inputs, use_reentrant=False,
                      context_fn=lambda: (nullcontext(), _without_running_statistics(module)))


@contextmanager
def _without_running_statistics(module: nn.Module) -> Iterator[None]:
    """Let the batch normalisations of a module use the batch's statistics without adding them to the running ones."""
    tracking = [(norm, norm.momentum, norm.num_batches_tracked) for norm in batch_norms(module)
                if norm.training and norm.track_running_stats]
    for norm, _, batches in tracking:
        norm.momentum, norm.num_batches_tracked = 0.0, batches.clone()
    try:
        yield
    finally:
        for norm, momentum, batches in tracking:
            norm.momentum, norm.num_batches_tracked = momentum, batches
