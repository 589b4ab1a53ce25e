"""Save checkpoints so that at every moment a complete one stands."""
from __future__ import annotations

from pathlib import Path

from mmengine import hooks
from mmengine.dist import is_main_process

from mmseg.registry import HOOKS
from mmseg.utils import checkpoint  # noqa: F401  makes mmengine's own runner read safely too
from mmseg.utils.atomic import remove_unfinished, write_text
from mmseg.utils.errors import InputError


@HOOKS.register_module()
class CheckpointHook(hooks.CheckpointHook):
    """mmengine's hook, with its arguments; what differs is the order of things.

    A new checkpoint is written whole, then `last_checkpoint` names it, then older ones are deleted. The best ones keep
    the state of the optimiser and of the schedulers too, as the others do, so that training can go on from them. A
    training that is stopped early ends with a checkpoint, as one that runs through does.
    """

    _training = False
    _saved: int | None = None  # epoch or iteration of the last checkpoint

    def before_train(self, runner) -> None:
        super().before_train(runner)
        self._training = True
        self._kept = list(runner.message_hub.get_info('keep_ckpt_ids') or ())
        if not is_main_process():
            return
        for folder in {self.out_dir, runner.work_dir}:
            if Path(folder).is_dir():
                for path in remove_unfinished(folder):
                    runner.logger.info(f'Removed {path}, which an interrupted run left unfinished')

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        due = self.every_n_train_iters(runner, self.interval, self.save_begin)
        if not self.by_epoch and (due or self.save_last and self.is_last_train_iter(runner)):
            self._announce_and_save(runner, runner.iter + 1, 'iterations', epoch=runner.epoch, iter=runner.iter + 1)

    def after_train_epoch(self, runner) -> None:
        due = self.every_n_epochs(runner, self.interval, self.save_begin)
        if self.by_epoch and (due or self.save_last and self.is_last_train_epoch(runner)):
            self._announce_and_save(runner, runner.epoch + 1, 'epochs', epoch=runner.epoch + 1, iter=runner.iter)

    def after_train(self, runner) -> None:
        stopped = getattr(runner.train_loop, 'stop_training', False)
        step = runner.epoch if self.by_epoch else runner.iter
        if stopped and self.save_last and self._saved != step:
            unit = 'epochs' if self.by_epoch else 'iterations'
            self._announce_and_save(runner, step, unit, epoch=runner.epoch, iter=runner.iter)
        super().after_train(runner)

    def _announce_and_save(self, runner, step: int, unit: str, **meta) -> None:
        runner.logger.info(f'Saving checkpoint at {step} {unit}')
        self._save(runner, step, meta)

    def _save(self, runner, step: int, meta: dict) -> None:
        name, self._saved = self.filename_tmpl.format(step), step
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        if self.max_keep_ckpts > 0:
            # What is to be deleted stays in the list that is saved: a run killed before that deletes it on resuming.
            self._kept = [*(kept for kept in self._kept if kept != step), step]
            runner.message_hub.update_info('keep_ckpt_ids', list(self._kept))
        self._write(runner, name, meta, self.by_epoch, **self.args)
        if is_main_process():
            write_text(self.last_ckpt, Path(runner.work_dir, 'last_checkpoint'))
        if self.max_keep_ckpts > 0:
            for old in self._kept[:-self.max_keep_ckpts]:
                self._delete(self.file_backend.join_path(self.out_dir, self.filename_tmpl.format(old)))
            self._kept = self._kept[-self.max_keep_ckpts:]

    def _write(self, runner, name: str, meta: dict, by_epoch: bool, **extra) -> None:
        runner.save_checkpoint(self.out_dir, name, self.file_client_args, save_optimizer=self.save_optimizer,
                               save_param_scheduler=self.save_param_scheduler, meta=dict(meta), by_epoch=by_epoch,
                               backend_args=self.backend_args, **extra)

    def _delete(self, path: str) -> None:
        if is_main_process():
            if self.file_backend.isfile(path):
                self.file_backend.remove(path)
            elif self.file_backend.isdir(path):
                self.file_backend.rmtree(path)

    def after_val_epoch(self, runner, metrics=None) -> None:
        if not self.save_best or not self._training:
            return
        if not metrics:
            runner.logger.warning('The evaluation gave no figure, so there is no best checkpoint to be told from it')
            return
        if 'auto' in self.key_indicators:
            self._init_rule(self.rules, [next(iter(metrics))])
        step, unit = (runner.epoch, 'epoch') if self.by_epoch else (runner.iter, 'iter')
        meta = dict(epoch=runner.epoch, iter=runner.iter)
        beaten = []
        for indicator, rule in zip(self.key_indicators, self.rules):
            if indicator not in metrics:
                raise InputError(f'save_best is {indicator!r}, but the evaluation gives {", ".join(metrics)}')
            suffix = '' if len(self.key_indicators) == 1 else f'_{indicator}'
            score, best = metrics[indicator], runner.message_hub.get_info(f'best_score{suffix}')
            if score is None or not self.is_better_than[indicator](score, self._worst(rule) if best is None else best):
                continue
            name = f'best_{indicator}_{self.filename_tmpl.format(step)}'.replace('/', '_')
            beaten.append((runner.message_hub.get_info(f'best_ckpt{suffix}'), name))
            self._remember_best(runner, indicator, suffix, score, name)
            self._write(runner, name, meta, by_epoch=False)
            runner.logger.info(f'The best checkpoint with {score:.4f} {indicator} at {step} {unit} is saved to {name}.')
        if beaten and self.last_ckpt is not None:
            self._save(runner, step, meta)  # so that the last one knows the best one
        for path, name in beaten:
            if path is not None and Path(path).name != name:
                self._delete(path)

    def _worst(self, rule: str) -> float:
        return self.init_value_map[rule]

    def _remember_best(self, runner, indicator: str, suffix: str, score: float, name: str) -> None:
        path = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info(f'best_score{suffix}', score)
        runner.message_hub.update_info(f'best_ckpt{suffix}', path)
        if suffix:
            self.best_ckpt_path_dict[indicator] = path
        else:
            self.best_ckpt_path = path
