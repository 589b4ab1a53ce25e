"""The runner: mmengine's, made to resume exactly, to keep its checkpoints whole and to run without CUDA."""
from __future__ import annotations

import copy
import datetime
import functools
import itertools
import time
from collections.abc import Sequence
from pathlib import Path

import mmengine
import torch
from mmengine import runner as base
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import get_rank, is_distributed, master_only
from mmengine.fileio import LocalBackend, get_file_backend, join_path
from mmengine.hooks import Hook
from mmengine.logging import MessageHub
from mmengine.model import convert_sync_batchnorm, is_model_wrapper, revert_sync_batchnorm
from mmengine.utils import apply_to
from mmengine.visualization import Visualizer
from torch import nn
from torch.utils.data import DataLoader

from mmseg.engine.classes import check_num_classes, fill_num_classes
from mmseg.engine.draws import build_seeded_dataloader, draws_of
from mmseg.engine.hooks.progress_hook import ProgressHook
from mmseg.engine.sync_bn import without_cuda
from mmseg.registry import DATA_SAMPLERS, HOOKS, LOOPS, MODEL_WRAPPERS, RUNNERS, Registry
from mmseg.utils.checkpoint import (
    STRIP_WRAPPER,
    CheckpointError,
    MapLocation,
    load_weights,
    read_checkpoint,
    unwrap,
    write_checkpoint,
)
from mmseg.utils.collect_env import hide_broken_torchvision
from mmseg.version import __version__

_NUMBERS = itertools.count()  # of the runners of this process, which may begin in the same second


@RUNNERS.register_module()
class Runner(base.Runner):
    """Trains, validates and tests what a config describes; arguments and methods are those of mmengine's runner.

    Beyond it: samples and steps depend on the seed and their number alone; a stopped run resumes bit for bit, also
    with another number of workers; checkpoints appear as a whole or not at all and are read without running code; a
    loss that is not finite stops the run; classes of model and data are compared; N processes give the figures of one.
    """

    def __init__(self, model: nn.Module | dict, work_dir: str, train_dataloader: DataLoader | dict | None = None,
                 val_dataloader: DataLoader | dict | None = None, test_dataloader: DataLoader | dict | None = None,
                 *args, default_scope: str | None = 'mmseg', **kwargs):
        if isinstance(model, dict):
            fill_num_classes(model, train_dataloader.get('dataset') if isinstance(train_dataloader, dict) else None)
        self._begins_training = self._resumes = False
        self._number = next(_NUMBERS)
        super().__init__(model, work_dir, train_dataloader, _unpadded(val_dataloader), _unpadded(test_dataloader),
                         *args, default_scope=default_scope, **kwargs)

    @classmethod
    def from_cfg(cls, cfg: Config | dict) -> Runner:
        """Build a runner from a config; its `default_scope` is `mmseg` where it names none."""
        cfg = copy.deepcopy(cfg)
        if cfg.get('default_scope') is None:
            cfg['default_scope'] = 'mmseg'
        return super().from_cfg(cfg)

    # ------------------------------------------------------------------------------------------------ processes

    def setup_env(self, env_cfg: dict) -> None:
        """Prepare the processes; those of torchrun talk through gloo where there is no accelerator."""
        if self.launcher == 'pytorch' and not is_distributed() and get_device() == 'cpu':
            options = {key: value for key, value in (env_cfg.get('dist_cfg') or {}).items()
                       if key not in ('backend', 'init_backend')}
            if 'timeout' in options:
                options['timeout'] = datetime.timedelta(seconds=options['timeout'])
            torch.distributed.init_process_group('gloo', **options)
        hide_broken_torchvision()
        torch.set_flush_denormal(True)  # subnormal weights make convolutions many times slower on a CPU
        super().setup_env(env_cfg)

    def set_randomness(self, seed: int | None = None, diff_rank_seed: bool = False,
                       deterministic: bool = False) -> None:
        """Seed all generators; without a seed one is drawn, logged and kept in the checkpoints."""
        super().set_randomness(seed, diff_rank_seed, deterministic)
        self._shared_seed = self.seed - (get_rank() if diff_rank_seed else 0)

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """Put the model on its device and, where several processes train it, into a wrapper that keeps them equal."""
        if self.distributed and self.world_size == 1:
            model = revert_sync_batchnorm(model)
        if not self.distributed or get_device() != 'cpu' or is_model_wrapper(model):
            return super().wrap_model(model_wrapper_cfg, model)
        if self.cfg.get('sync_bn'):
            model = convert_sync_batchnorm(model, self.cfg.sync_bn)
        wrapper = model_wrapper_cfg or dict(
            broadcast_buffers=False, find_unused_parameters=self.cfg.get('find_unused_parameters', False))
        return MODEL_WRAPPERS.build({'type': 'MMDistributedDataParallel', **wrapper},
                                    default_args=dict(module=without_cuda(model)))

    # ----------------------------------------------------------------------------------------------------- parts

    def build_message_hub(self, message_hub: dict | None = None) -> MessageHub:
        """Build what the parts tell each other through; every runner of a process has one of its own."""
        return super().build_message_hub(message_hub or dict(name=f'{self.experiment_name}-{self._number}'))

    def build_visualizer(self, visualizer: Visualizer | dict | None = None) -> Visualizer:
        """Build what draws and records; a name in the config does not make two runners share one."""
        if visualizer is None:
            visualizer = dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')])
        if isinstance(visualizer, dict):
            name = visualizer.get('name', 'visualizer')
            visualizer = {**visualizer, 'name': f'{name}-{self.experiment_name}-{self._number}'}
        return super().build_visualizer(visualizer)

    @staticmethod
    def build_dataloader(dataloader: DataLoader | dict, seed: int | None = None,
                         diff_rank_seed: bool = False) -> DataLoader:
        """Build a data loader whose samples depend on the seed, the epoch and their position alone."""
        if isinstance(dataloader, DataLoader):
            return dataloader
        if diff_rank_seed and seed is not None:
            seed -= get_rank()  # ranks share the order of the samples, whatever else they draw
        return build_seeded_dataloader({**dataloader, 'sampler': _ours(dataloader['sampler'], DATA_SAMPLERS)}, seed)

    def build_train_loop(self, loop: base.BaseLoop | dict) -> base.BaseLoop:
        """Build the training loop and compare the classes of model and training data."""
        if isinstance(loop, dict) and 'type' not in loop:
            loop = dict(loop)
            loop['type'] = 'EpochBasedTrainLoop' if loop.pop('by_epoch') else 'IterBasedTrainLoop'
        return self._checked(super().build_train_loop(_ours(loop, LOOPS)), 'train')

    def build_val_loop(self, loop: base.BaseLoop | dict) -> base.BaseLoop:
        """Build the validation loop and compare the classes of model and validation data."""
        return self._checked(super().build_val_loop(loop), 'val')

    def build_test_loop(self, loop: base.BaseLoop | dict) -> base.BaseLoop:
        """Build the test loop and compare the classes of model and test data."""
        return self._checked(super().build_test_loop(loop), 'test')

    def _checked(self, loop: base.BaseLoop, stage: str) -> base.BaseLoop:
        metainfo = getattr(loop.dataloader.dataset, 'metainfo', None)
        check_num_classes(unwrap(self.model), metainfo, f'{stage}_dataloader.dataset')
        return loop

    def register_default_hooks(self, hooks: dict[str, Hook | dict] | None = None) -> None:
        """Register mmengine's default hooks, the watch over losses and, where a person looks on, the progress line."""
        ours = dict(finite_loss=dict(type='FiniteLossHook'))
        if ProgressHook.watched():
            ours['progress'] = dict(type='ProgressHook')
        wanted = {**ours, **(hooks or {})}
        super().register_default_hooks({
            name: hook for name, hook in wanted.items() if hook is not None or name not in ('finite_loss', 'progress')})

    def register_hook(self, hook: Hook | dict, priority: str | int | None = None) -> None:
        """Register a hook; in place of a class of mmengine that we have a better version of stands ours."""
        super().register_hook(_ours(hook, HOOKS), priority)

    # ----------------------------------------------------------------------------------------------- checkpoints

    def train(self) -> nn.Module:
        """Train, and return the trained model."""
        self._begins_training = True
        try:
            return super().train()
        finally:
            self._begins_training = False

    def load_checkpoint(self, filename: str, map_location: MapLocation = 'cpu', strict: bool = False,
                        revise_keys: Sequence[tuple[str, str]] = STRIP_WRAPPER) -> dict:
        """Load weights; where a training begins with them (`load_from`), other classes than theirs are fine.

        Raises:
            CheckpointError: it cannot be read, belongs to another model, or is to be resumed and holds weights alone.
        """
        checkpoint = read_checkpoint(filename, map_location)
        if self._resumes and not {'meta', 'message_hub'} <= checkpoint.keys():
            raise CheckpointError(f'{filename} holds weights but no state of a training, so none can be resumed from '
                                  'it: to begin a new training with its weights, give it as load_from without resume')
        if 'state_dict' not in checkpoint:
            checkpoint = dict(state_dict=checkpoint)
        self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
        load_weights(self.model, checkpoint, strict=strict, revise_keys=revise_keys, name=filename,
                     fine_tune=self._begins_training and not self._resumes)
        self._has_loaded = True
        self.logger.info(f'Load checkpoint from {filename}')
        self._loaded_meta = checkpoint.get('meta', {})
        return checkpoint

    def resume(self, filename: str, resume_optimizer: bool = True, resume_param_scheduler: bool = True,
               map_location: MapLocation = 'default') -> None:
        """Take up a training where a checkpoint left it: weights, optimiser, schedulers, seed, place in the data."""
        moved = Path(self.work_dir, Path(filename).name)  # `last_checkpoint` of a moved folder names the old one
        if '://' not in filename and not Path(filename).exists() and moved.is_file():
            filename = str(moved)
        self._resumes = True
        try:
            super().resume(filename, resume_optimizer, resume_param_scheduler, map_location)
        finally:
            self._resumes = False
        draws = draws_of(self.train_dataloader)
        if draws is not None:
            draws.reseed(self._shared_seed)
        if 'samples' in self._loaded_meta and hasattr(self.train_loop, 'go_on_after'):
            self.train_loop.go_on_after(self._loaded_meta['samples'])

    @master_only
    def save_checkpoint(self, out_dir: str, filename: str, file_client_args: dict | None = None,
                        save_optimizer: bool = True, save_param_scheduler: bool = True, meta: dict | None = None,
                        by_epoch: bool = True, backend_args: dict | None = None) -> None:
        """Save a checkpoint: at any moment `filename` is the old one or the whole new one.

        Args:
            by_epoch: it is called at the end of an epoch, else of an iteration, before that is counted.
            meta: values to keep; `epoch` and `iter` override the counted ones.

        Raises:
            DiskFullError: there is no room for it.
        """
        counted = dict(epoch=self.epoch + by_epoch, iter=self.iter + (not by_epoch))
        checkpoint = dict(meta={**counted, **(meta or {}), **self._facts()},
                          state_dict=base.weights_to_cpu(unwrap(self.model).state_dict()),
                          message_hub=_to_cpu(self.message_hub.state_dict()))
        if hasattr(self.train_loop, 'samples_drawn'):
            checkpoint['meta']['samples'] = self.train_loop.samples_drawn(checkpoint['meta']['iter'])
        if save_optimizer:
            checkpoint['optimizer'] = _to_cpu(self.optim_wrapper.state_dict())
        if save_param_scheduler and self.param_schedulers is not None:
            checkpoint['param_schedulers'] = _states(self.param_schedulers)
        self.call_hook('before_save_checkpoint', checkpoint=checkpoint)
        path = join_path(out_dir, filename, backend_args=backend_args)
        if file_client_args is None and isinstance(get_file_backend(path, backend_args=backend_args), LocalBackend):
            write_checkpoint(checkpoint, path)
        else:
            base.save_checkpoint(checkpoint, path, file_client_args=file_client_args, backend_args=backend_args)

    def _facts(self) -> dict:
        facts = dict(cfg=self._config_text, seed=self._shared_seed, experiment_name=self.experiment_name,
                     time=time.strftime('%Y%m%d_%H%M%S'), mmengine_version=mmengine.__version__,
                     mmseg_version=__version__)
        metainfo = getattr(self.train_dataloader.dataset, 'metainfo', None)
        return facts if metainfo is None else {**facts, 'dataset_meta': metainfo}

    @functools.cached_property
    def _config_text(self) -> str:
        return self.cfg.pretty_text  # takes seconds for a long config


def _states(schedulers: list | dict) -> list | dict:
    if isinstance(schedulers, dict):
        return {name: _states(part) for name, part in schedulers.items()}
    return [scheduler.state_dict() for scheduler in schedulers]


def _to_cpu(state: dict) -> dict:
    return apply_to(state, lambda value: hasattr(value, 'cpu'), lambda value: value.cpu())


def _ours(config: object, registry: Registry) -> object:
    """Name, in a config that names a class of mmengine, the class of the same name that this library prefers."""
    kind = config.get('type') if isinstance(config, dict) else None
    if isinstance(kind, type) and kind.__module__.startswith('mmengine.'):
        return {**config, 'type': registry.get(kind.__name__)}
    return config


def _unpadded(dataloader: DataLoader | dict | None) -> DataLoader | dict | None:
    """Let no sample be evaluated twice so that all ranks get equally many."""
    sampler = dataloader.get('sampler') if isinstance(dataloader, dict) else None
    kind = sampler.get('type') if isinstance(sampler, dict) else None
    if getattr(kind, '__name__', kind) != 'DefaultSampler':
        return dataloader
    return {**dataloader, 'sampler': {'round_up': False, **sampler}}
