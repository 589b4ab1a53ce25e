"""A line in the terminal that says how far a validation or test is and when it ends."""
from __future__ import annotations

import sys
import time
from datetime import timedelta

from mmengine.dist import is_main_process
from mmengine.hooks import Hook

from mmseg.registry import HOOKS


@HOOKS.register_module()
class ProgressHook(Hook):
    """Show `val 120/500, 12.3 batches/s, 0:00:31 left`, renewed in place; nothing where nobody watches.

    Args:
        seconds: time between two renewals.
    """

    priority = 'LOWEST'

    def __init__(self, seconds: float = 0.5):
        self.seconds = seconds

    def _begin(self) -> None:
        self._started = self._shown = time.monotonic()

    def _show(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if not self.watched() or (now - self._shown < self.seconds and done < total):
            return
        self._shown = now
        rate = done / max(now - self._started, 1e-9)
        left = timedelta(seconds=round((total - done) / rate))
        end = '\n' if done == total else ''
        sys.stdout.write(f'\r\033[K{stage} {done}/{total}, {rate:.1f} batches/s, {left} left{end}')
        sys.stdout.flush()

    @staticmethod
    def watched() -> bool:
        """Whether a person sees this process's output as it comes."""
        return is_main_process() and sys.stdout.isatty()

    def before_val_epoch(self, runner) -> None:
        self._begin()

    def before_test_epoch(self, runner) -> None:
        self._begin()

    def after_val_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        self._show('val', batch_idx + 1, len(runner.val_dataloader))

    def after_test_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        self._show('test', batch_idx + 1, len(runner.test_dataloader))
