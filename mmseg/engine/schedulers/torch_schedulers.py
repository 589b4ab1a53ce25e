"""The schedulers of PyTorch that mmengine does not have, in configs by their own names and with their own arguments.

A config adds `by_epoch=False` for steps of iterations, and `begin` and `end` as for any other scheduler.
"""
from __future__ import annotations

from mmengine.optim.scheduler.param_scheduler import INF, _ParamScheduler
from torch.optim import lr_scheduler

from mmseg.registry import PARAM_SCHEDULERS


class TorchScheduler(_ParamScheduler):
    """Steps a scheduler of PyTorch from `begin` to `end`; the rate at `begin` is the one that it starts from.

    Args:
        optimizer: an optimiser or its wrapper.
        options: arguments of the scheduler of PyTorch, `kind`.
    """

    kind: type[lr_scheduler.LRScheduler]

    def __init__(self, optimizer, begin: int = 0, end: int = INF, by_epoch: bool = True, **options):
        self.optimizer = getattr(optimizer, 'optimizer', optimizer)
        self.begin, self.end, self.by_epoch = begin, end, by_epoch
        self._options, self._scheduler, self._steps = options, None, 0
        self._begin_if_due()

    def _begin_if_due(self) -> None:
        if self._scheduler is None and self._steps >= self.begin:
            self._scheduler = self.kind(self.optimizer, **self._options)

    def step(self) -> None:
        """Count a step and, between `begin` and `end`, set the learning rates."""
        self._steps += 1
        if self._scheduler is None:
            self._begin_if_due()
        elif self._steps < self.end:
            self._scheduler.step()

    def get_last_value(self) -> list[float]:
        """Return the learning rates of the groups."""
        return [group['lr'] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict:
        """Return what :meth:`load_state_dict` goes on from."""
        return dict(steps=self._steps, scheduler=self._scheduler and self._scheduler.state_dict())

    def load_state_dict(self, state_dict: dict) -> None:
        """Go on where another run left."""
        self._steps = state_dict['steps']
        if state_dict['scheduler'] is not None:
            rates = self.get_last_value()  # of the optimiser that was resumed before
            self._begin_if_due()
            self._scheduler.load_state_dict(state_dict['scheduler'])
            for group, rate in zip(self.optimizer.param_groups, rates):
                group['lr'] = rate


def _in_configs(kind: type[lr_scheduler.LRScheduler]) -> type[TorchScheduler]:
    made = type(kind.__name__, (TorchScheduler,), dict(
        kind=kind, __module__=__name__, __doc__=f"PyTorch's `{kind.__name__}`; see :class:`TorchScheduler`."))
    return PARAM_SCHEDULERS.register_module()(made)


CosineAnnealingWarmRestarts = _in_configs(lr_scheduler.CosineAnnealingWarmRestarts)
CyclicLR = _in_configs(lr_scheduler.CyclicLR)
LambdaLR = _in_configs(lr_scheduler.LambdaLR)
MultiplicativeLR = _in_configs(lr_scheduler.MultiplicativeLR)
PolynomialLR = _in_configs(lr_scheduler.PolynomialLR)
