"""Weights, gradients and optimiser states shared out among the processes, for networks that one GPU cannot hold.

PyTorch's `fully_shard` changes the network in place: names and keys stay, and each process keeps a slice of every
weight. Before a block computes, its weights are gathered; after it they are let go. What is saved is whole and plain:
a checkpoint of one process and one of sixty-four are the same, and either can be resumed by the other.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from mmengine.device import get_device
from mmengine.hooks import Hook
from mmengine.utils import apply_to
from torch import distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import CPUOffloadPolicy, FSDPModule, MixedPrecisionPolicy, OffloadPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from mmseg.engine.network import blocks_of
from mmseg.registry import MODEL_WRAPPERS


@MODEL_WRAPPERS.register_module()
class MMFullyShardedDataParallel:
    """Shares out the weights of a network, which are the same in all processes, and moves them to the device.

    Building one gives back the network itself, changed: `model_wrapper_cfg=dict(type='MMFullyShardedDataParallel')`.

    Args:
        module: the network.
        units: modules or classes whose weights are gathered together (see :func:`blocks_of`); by default the blocks
            of the backbone. What is in none of them is gathered at once, for the whole step.
        cpu_offload: keep the slices in the memory of the CPU while they are not used.
        mixed_precision: `param_dtype` and `reduce_dtype`, such as `'bfloat16'`, of computing and of summing gradients.
        reshard_after_forward: let the weights of a unit go after its forward pass, and gather them again backward.
        min_parameters: smaller units, which are chosen only by default, are not worth a gathering of their own.
    """

    def __new__(cls, module: nn.Module, units: Sequence[str] | None = None, cpu_offload: bool = False,
                mixed_precision: Mapping[str, str] | None = None, reshard_after_forward: bool = True,
                min_parameters: int = 100_000) -> nn.Module:
        mesh = init_device_mesh(get_device(), (distributed.get_world_size(),))
        dtypes = {key: getattr(torch, value) for key, value in (mixed_precision or {}).items()}
        options = dict(mesh=mesh, mp_policy=MixedPrecisionPolicy(**dtypes),
                       offload_policy=CPUOffloadPolicy() if cpu_offload else OffloadPolicy())
        blocks = blocks_of(module, units)
        for name in sorted(blocks, key=lambda name: -name.count('.')):  # what is inside another first
            size = sum(weight.numel() for weight in blocks[name].parameters())
            if units is not None or size >= min_parameters:
                fully_shard(blocks[name], reshard_after_forward=reshard_after_forward, **options)
        if hasattr(module, 'data_preprocessor'):
            module.data_preprocessor.to(get_device())
        return fully_shard(module, reshard_after_forward=False, **options)


def is_sharded(model: nn.Module) -> bool:
    """Whether `MMFullyShardedDataParallel` has shared out a network."""
    return isinstance(model, FSDPModule)


def gathered(state: dict) -> dict:
    """Return a state with every slice replaced by the whole, on the CPU; all processes must ask for it together."""
    return apply_to(state, lambda value: isinstance(value, DTensor), lambda value: value.full_tensor().cpu())


def sliced_like(values: Mapping[str, object], like: Mapping[str, object]) -> dict:
    """Replace whole tensors by this process's slices where `like` holds slices of the same shape under the key."""
    return {key: _slice(value, like.get(key)) for key, value in values.items()}


def slice_optimizer(state: dict, optimizer: torch.optim.Optimizer) -> dict:
    """Return the state of an optimiser over whole weights for one over slices of them."""
    weights = [weight for group in optimizer.param_groups for weight in group['params']]
    return {**state, 'state': {
        number: {key: _slice(value, weights[number]) for key, value in values.items()}
        for number, values in state['state'].items()}}


def _slice(value: object, like: object) -> object:
    fits = isinstance(like, DTensor) and isinstance(value, torch.Tensor) and value.shape == like.shape
    if not fits or isinstance(value, DTensor):
        return value
    # nothing is sent: every process has read the whole
    return distribute_tensor(value.to(like.device), like.device_mesh, like.placements, src_data_rank=None)


class WholeWeightsHook(Hook):
    """Gather all weights for an evaluation, in which the processes have other numbers of images and windows."""

    priority = 'VERY_HIGH'

    def _gather(self, runner) -> None:
        self._units = [module for module in runner.model.modules() if isinstance(module, FSDPModule)]
        for unit in self._units:
            unit.set_reshard_after_forward(False, recurse=False)
            unit.unshard()

    def _let_go(self, runner) -> None:
        for unit in self._units:
            unit.set_reshard_after_forward(unit is not runner.model, recurse=False)
            unit.reshard()

    def before_val_epoch(self, runner) -> None:
        self._gather(runner)

    def before_test_epoch(self, runner) -> None:
        self._gather(runner)

    def after_val_epoch(self, runner, metrics=None) -> None:
        self._let_go(runner)

    def after_test_epoch(self, runner, metrics=None) -> None:
        self._let_go(runner)
