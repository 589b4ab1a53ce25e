"""Training loops whose every iteration depends on the seed and its number alone; so a resumed run goes on exactly."""
from __future__ import annotations

import logging
from bisect import bisect
from collections.abc import Sequence
from contextlib import closing

from mmengine.logging import print_log
from mmengine.runner import BaseLoop
from torch import nn

from mmseg.engine.draws import can_skip, draws_of, endless_batches
from mmseg.engine.sync_bn import explain_single_values
from mmseg.registry import LOOPS
from mmseg.utils.randomness import mix_seed, seed_generators


class TrainLoop(BaseLoop):
    """What training by iterations and by epochs share: the step, validation, and the place in the data.

    Before each step the generators are seeded from the run's seed, the iteration and the rank (10 to 30 µs, no
    synchronisation); so dropout and the like neither need a saved state nor notice validations in between.

    Args:
        runner: the runner.
        dataloader: a loader or its config.
        val_begin: first epoch or iteration after which to validate.
        val_interval: epochs or iterations between validations.
        dynamic_intervals: pairs (epoch or iteration, interval from then on).
    """

    def __init__(self, runner, dataloader, val_begin: int = 1, val_interval: int = 1,
                 dynamic_intervals: Sequence[tuple[int, int]] | None = None):
        super().__init__(runner, dataloader)
        self.val_begin = val_begin
        self.val_interval = val_interval
        self._milestones = [0, *(milestone for milestone, _ in dynamic_intervals or ())]
        self._intervals = [val_interval, *(interval for _, interval in dynamic_intervals or ())]
        self.stop_training = False  # set by EarlyStoppingHook
        self._epoch = self._iter = 0  # set by Runner.resume
        self._batches_before = 0  # batches of the present size beyond `iter`, once a resumed run changes that size
        self.runner.visualizer.dataset_meta = getattr(self.dataloader.dataset, 'metainfo', None)

    @property
    def epoch(self) -> int:
        return self._epoch

    @property
    def iter(self) -> int:
        return self._iter

    @property
    def _samples_per_iter(self) -> int:
        return (self.dataloader.batch_size or 1) * self.runner.world_size

    def samples_drawn(self, iteration: int) -> int:
        """Return how many samples all ranks together have used up after that many iterations."""
        return (self._batches_before + iteration) * self._samples_per_iter

    def go_on_after(self, samples: int) -> None:
        """Let the data of a resumed run, perhaps with another batch size, begin after that many samples."""
        self._batches_before = samples // self._samples_per_iter - self._iter

    def _step(self, batch_idx: int, data_batch) -> None:
        runner = self.runner
        seed_generators(mix_seed(runner.seed, 'step', self._iter, runner.rank))
        runner.call_hook('before_train_iter', batch_idx=batch_idx, data_batch=data_batch)
        try:
            outputs = runner.model.train_step(data_batch, optim_wrapper=runner.optim_wrapper)
        except ValueError as error:
            explain_single_values(error, runner.model, data_batch)
            raise
        runner.call_hook('after_train_iter', batch_idx=batch_idx, data_batch=data_batch, outputs=outputs)
        self._iter += 1

    def _validate_if_due(self, now: int, last: int) -> None:
        self.val_interval = self._intervals[bisect(self._milestones, now + 1) - 1]
        due = now >= self.val_begin and (now % self.val_interval == 0 or now == last)
        if due and self.runner.val_loop is not None:
            self.runner.val_loop.run()


@LOOPS.register_module()
class IterBasedTrainLoop(TrainLoop):
    """Train for `max_iters` iterations, however often that passes through the data."""

    def __init__(self, runner, dataloader, max_iters: int, val_begin: int = 1, val_interval: int = 1000,
                 dynamic_intervals: Sequence[tuple[int, int]] | None = None):
        super().__init__(runner, dataloader, val_begin, val_interval, dynamic_intervals)
        self.max_iters = _whole('max_iters', max_iters)
        self.max_epochs = 1
        self.dataloader_iterator = None

    def run(self) -> nn.Module:
        self.runner.call_hook('before_train')
        self.runner.call_hook('before_train_epoch')  # the whole training counts as one epoch
        self.dataloader_iterator = endless_batches(self.dataloader, self._batches_before + self._iter)
        with closing(self.dataloader_iterator):  # its workers end here and not when garbage is collected, in seconds
            while self._iter < self.max_iters and not self.stop_training:
                self.runner.model.train()
                self.run_iter(next(self.dataloader_iterator))
                self._validate_if_due(self._iter, self.max_iters)
        self.runner.call_hook('after_train_epoch')
        self.runner.call_hook('after_train')
        return self.runner.model

    def run_iter(self, data_batch) -> None:
        """Train on one batch."""
        self._step(self._iter, data_batch)


@LOOPS.register_module()
class EpochBasedTrainLoop(TrainLoop):
    """Train for `max_epochs` passes through the data; a run stopped within an epoch resumes there."""

    def __init__(self, runner, dataloader, max_epochs: int, val_begin: int = 1, val_interval: int = 1,
                 dynamic_intervals: Sequence[tuple[int, int]] | None = None):
        super().__init__(runner, dataloader, val_begin, val_interval, dynamic_intervals)
        self.max_epochs = _whole('max_epochs', max_epochs)
        self.max_iters = self.max_epochs * len(self.dataloader)

    def run(self) -> nn.Module:
        self.runner.call_hook('before_train')
        done = self._batches_of_epoch_done()
        while self._epoch < self.max_epochs and not self.stop_training:
            self.run_epoch(done)
            self._validate_if_due(self._epoch, self.max_epochs)
            done = 0
        self.runner.call_hook('after_train')
        return self.runner.model

    def run_epoch(self, done: int = 0) -> None:
        """Train on one pass through the data, after the batches of it that are `done`."""
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        draws = draws_of(self.dataloader)
        if draws is not None:
            draws.set_epoch(self._epoch)
            draws.start_at(done * (self.dataloader.batch_size or 0))
        for batch_idx, data_batch in enumerate(self.dataloader, done):
            self.run_iter(batch_idx, data_batch)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1

    def _batches_of_epoch_done(self) -> int:
        done = self._iter - self._epoch * len(self.dataloader)
        if self._batches_before or not 0 < done <= len(self.dataloader):
            return 0
        if can_skip(self.dataloader):
            return done
        print_log(f'epoch {self._epoch + 1} begins anew: its sampler cannot skip the {done} batches that are done',
                  logger='current', level=logging.WARNING)
        return 0

    def run_iter(self, batch_idx: int, data_batch) -> None:
        """Train on one batch."""
        self._step(batch_idx, data_batch)


def _whole(name: str, value: float) -> int:
    if int(value) != value:
        raise ValueError(f'{name} of the train loop is {value}: give a whole number')
    return int(value)
