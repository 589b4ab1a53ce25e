"""Stop a training whose loss is not a number any more, before the damage is saved."""
from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import torch
from mmengine.hooks import Hook

from mmseg.registry import HOOKS


class NonFiniteLossError(FloatingPointError):
    """A loss, or a weight, became NaN or infinite."""


@dataclass
class _Reading:
    """The losses of one iteration on their way from the device."""

    iteration: int
    learning_rate: float | None
    names: list[str]
    values: torch.Tensor
    arrived: torch.cuda.Event | None

    def is_here(self) -> bool:
        return self.arrived is None or self.arrived.query()

    def wait(self) -> None:
        if self.arrived is not None:
            self.arrived.synchronize()


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Look at every loss of every iteration, without ever waiting for the device.

    All losses of an iteration travel to pinned memory as one small copy behind the step that made them; each iteration
    looks at those that have arrived, which on a GPU is a step or two later. Before anything is saved or validated, and
    at the end, the rest is waited for. A checkpoint is refused too if one of its weights is not finite: that catches a
    gradient that overflowed under a finite loss, and the loss of another rank.
    """

    priority = 'VERY_HIGH'

    def __init__(self):
        self._readings: deque[_Reading] = deque()

    def before_train(self, runner) -> None:
        self._readings.clear()

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        losses = {name: value for name, value in (outputs or {}).items() if 'loss' in name}
        if losses:
            self._readings.append(self._read(runner, losses))
        while self._readings and self._readings[0].is_here():
            self._judge(runner, self._readings.popleft())

    def _read(self, runner, losses: dict[str, torch.Tensor | float]) -> _Reading:
        terms = [torch.as_tensor(value).detach() for value in losses.values()]
        device = max((term.device for term in terms), key=lambda device: device.type != 'cpu')
        values = torch.stack([term.sum().to(device, torch.float32, non_blocking=True) for term in terms])
        arrived = None
        if values.is_cuda:
            values = torch.empty(values.shape, pin_memory=True).copy_(values, non_blocking=True)
            arrived = torch.cuda.Event()
            arrived.record()
        scalars = runner.message_hub.log_scalars
        rate = float(scalars['train/lr'].current()) if 'train/lr' in scalars else None
        return _Reading(runner.iter + 1, rate, list(losses), values, arrived)

    def _judge(self, runner, reading: _Reading) -> None:
        bad = [f'{name} is {value}' for name, value in zip(reading.names, reading.values.tolist())
               if not math.isfinite(value)]
        if not bad:
            return
        rate = '' if reading.learning_rate is None else f' at learning rate {reading.learning_rate:g}'
        raise NonFiniteLossError(f'iteration {reading.iteration}: {", ".join(bad)}{rate}. {_last_good(runner)} Lower '
                                 'the learning rate, clip the gradients (optim_wrapper.clip_grad) or check the labels')

    def _settle(self, runner) -> None:
        while self._readings:
            reading = self._readings.popleft()
            reading.wait()
            self._judge(runner, reading)

    def before_val(self, runner) -> None:
        self._settle(runner)

    def after_train(self, runner) -> None:
        self._settle(runner)

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        self._settle(runner)
        state = checkpoint['state_dict']
        bad = [name for name in _trained(runner) if name in state and not bool(state[name].isfinite().all())]
        if bad:
            raise NonFiniteLossError(f'iteration {runner.iter + 1}: {len(bad)} weights are not finite, first {bad[0]}, '
                                     f'so this checkpoint is not saved. {_last_good(runner)} Lower the learning rate '
                                     'or clip the gradients (optim_wrapper.clip_grad)')


def _trained(runner) -> list[str]:
    model = getattr(runner.model, 'module', runner.model)
    return [name for name, weight in model.named_parameters() if weight.requires_grad]


def _last_good(runner) -> str:
    note = Path(runner.work_dir, 'last_checkpoint')
    return f'The last good checkpoint is {note.read_text()}.' if note.is_file() else 'No checkpoint was saved before.'
