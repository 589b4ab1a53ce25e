"""Stop a training that no longer gets better."""
from __future__ import annotations

from mmengine import hooks
from mmengine.dist import is_main_process

from mmseg.registry import HOOKS
from mmseg.utils.errors import InputError


@HOOKS.register_module()
class EarlyStoppingHook(hooks.EarlyStoppingHook):
    """mmengine's hook, with its arguments; a resumed run remembers how long it has waited, and for what.

    When it stops, the checkpoint hook saves the last state. A `monitor` that the evaluation does not give is an error:
    nothing would ever stop.
    """

    def before_train(self, runner) -> None:
        known = runner.message_hub.get_info('early_stopping') or {}
        if known.get('monitor') == self.monitor:
            self.best_score, self.wait_count = known['best_score'], known['wait_count']

    def after_val_epoch(self, runner, metrics: dict | None = None) -> None:
        metrics = metrics or {}
        if self.monitor not in metrics:
            raise InputError(f'EarlyStoppingHook waits for {self.monitor!r}, but the evaluation gives '
                             f'{", ".join(metrics) or "no figure"}')
        super().after_val_epoch(runner, metrics)
        runner.message_hub.update_info('early_stopping', dict(
            monitor=self.monitor, best_score=float(self.best_score), wait_count=self.wait_count))
        if runner.train_loop.stop_training and is_main_process():
            runner.logger.info(f'The training stops early, after iteration {runner.iter}')
