"""Mixed precision on whatever device trains: fp16 with a loss scale, bf16 without, on a CPU as on a GPU."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine import optim
from mmengine.device import get_device
from torch import nn

from mmseg.registry import OPTIM_WRAPPERS
from mmseg.utils.errors import InputError

HALVES = dict(float16=torch.float16, bfloat16=torch.bfloat16)


@OPTIM_WRAPPERS.register_module()
class AmpOptimWrapper(optim.AmpOptimWrapper):
    """mmengine's wrapper, for a CPU as well.

    Args:
        loss_scale: `'dynamic'`, a fixed factor, or the arguments of PyTorch's `GradScaler`. Only fp16 needs one: its
            smallest number is 6e-8. bf16 has the exponents of fp32, and its gradients are left as they are.
        dtype: `'float16'` or `'bfloat16'`; by default fp16 on a GPU and bf16, which is what it is fast at, on a CPU.
        use_fsdp: whether the weights are shards, so that all processes must agree to skip a step that overflowed.
        kwargs: arguments of mmengine's `OptimWrapper`.
    """

    def __init__(self, loss_scale: str | float | dict = 'dynamic', dtype: str | torch.dtype | None = None,
                 use_fsdp: bool = False, **kwargs):
        optim.OptimWrapper.__init__(self, **kwargs)  # what lies between refuses to work without CUDA
        self.device_type = get_device()
        self.cast_dtype = _half_precision(dtype, self.device_type)
        fixed = isinstance(loss_scale, int | float)
        self._scale_update_param = float(loss_scale) if fixed else None
        options = dict(init_scale=float(loss_scale)) if fixed else {} if loss_scale == 'dynamic' else loss_scale
        if not isinstance(options, dict):
            raise InputError(f"loss_scale must be 'dynamic', a number or a dictionary, found {loss_scale!r}")
        self.loss_scaler = _scaler(use_fsdp, self.device_type, {
            'enabled': self.cast_dtype is torch.float16, **options})

    def load_state_dict(self, state_dict: dict) -> None:
        """Take up the state of an optimiser; that of a training in another precision will do."""
        state = dict(state_dict)
        scale = state.pop('loss_scaler', None)
        if scale and self.loss_scaler.is_enabled():
            self.loss_scaler.load_state_dict(scale)
        super().load_state_dict(state)

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Run a forward pass in half precision, without talking to other processes while gradients accumulate."""
        with optim.OptimWrapper.optim_context(self, model), torch.autocast(self.device_type, self.cast_dtype):
            yield


def _half_precision(dtype: str | torch.dtype | None, device_type: str) -> torch.dtype:
    if dtype is None:
        return torch.bfloat16 if device_type == 'cpu' else torch.float16
    found = HALVES.get(dtype, dtype) if isinstance(dtype, str) else dtype
    if found not in HALVES.values():
        raise InputError(f"dtype of mixed precision must be 'float16' or 'bfloat16', found {dtype!r}")
    if found is torch.bfloat16 and device_type == 'cuda' and not torch.cuda.is_bf16_supported():
        raise InputError(f"{torch.cuda.get_device_name()} cannot compute in bfloat16: take dtype='float16'")
    return found


def _scaler(sharded: bool, device_type: str, options: dict) -> torch.amp.GradScaler:
    if not sharded:
        return torch.amp.GradScaler(device_type, **options)
    from torch.distributed.fsdp.sharded_grad_scaler import ShardedGradScaler
    return ShardedGradScaler(device=device_type, **options)
