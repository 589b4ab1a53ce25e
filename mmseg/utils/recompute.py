"""Trade time for memory: activations are computed again in the backward pass instead of being kept."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def batch_norms(module: nn.Module) -> Iterator[_BatchNorm]:
    """Iterate over every batch normalisation below a module, synchronised or not."""
    return (m for m in module.modules() if isinstance(m, _BatchNorm))


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
