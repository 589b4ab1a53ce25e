"""The runner: mmengine's, made to resume exactly, to keep its checkpoints whole and to run without CUDA."""
from __future__ import annotations

import copy
import functools
import itertools
import time
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import mmengine
import torch
from mmengine import runner as base
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import all_reduce, get_rank, is_main_process
from mmengine.fileio import LocalBackend, get_file_backend, join_path
from mmengine.hooks import EMAHook, Hook
from mmengine.logging import MessageHub
from mmengine.model import convert_sync_batchnorm, is_model_wrapper, revert_sync_batchnorm
from mmengine.model.efficient_conv_bn_eval import turn_on_efficient_conv_bn_eval
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.utils import apply_to
from mmengine.visualization import Visualizer
from torch import nn
from torch.utils.data import DataLoader

from mmseg.engine.classes import check_num_classes, fill_num_classes
from mmseg.engine.draws import build_seeded_dataloader, draws_of
from mmseg.engine.fsdp import (
    MMFullyShardedDataParallel,
    WholeWeightsHook,
    gathered,
    is_sharded,
    slice_optimizer,
    sliced_like,
)
from mmseg.engine.hooks.progress_hook import ProgressHook
from mmseg.engine.network import compile_network, lay_out_channels_last, recompute_activations
from mmseg.engine.optimizers.custom_keys import warn_of_unmatched_keys
from mmseg.engine.processes import join, joins
from mmseg.engine.sync_bn import without_cuda
from mmseg.registry import DATA_SAMPLERS, HOOKS, LOOPS, MODEL_WRAPPERS, OPTIM_WRAPPERS, RUNNERS, Registry
from mmseg.utils.checkpoint import (
    STRIP_WRAPPER,
    CheckpointError,
    MapLocation,
    load_weights,
    read_checkpoint,
    unwrap,
    weights_of,
    write_checkpoint,
)
from mmseg.utils.collect_env import hide_broken_torchvision
from mmseg.utils.errors import InputError
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
        """Prepare the processes; those of torchrun and Slurm talk through gloo where there is no accelerator."""
        dist_cfg = env_cfg.get('dist_cfg') or {}
        if joins(self.launcher, dist_cfg.get('backend'), dist_cfg.get('init_backend', 'torch')):
            join(self.launcher, **dist_cfg)
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
        if is_model_wrapper(model):
            return super().wrap_model(model_wrapper_cfg, model)
        if self.cfg.get('channels_last'):
            lay_out_channels_last(model)
        if self.distributed and self.world_size == 1:
            model = revert_sync_batchnorm(model)
        options = dict(model_wrapper_cfg or {})
        kind = options.pop('type', None)
        sharded = self.distributed and kind and MODEL_WRAPPERS.get(kind) is MMFullyShardedDataParallel
        if not self.distributed or not (sharded or get_device() == 'cpu'):
            return super().wrap_model(model_wrapper_cfg, model)
        if self.cfg.get('sync_bn'):
            model = convert_sync_batchnorm(model, self.cfg.sync_bn)
        if get_device() == 'cpu':
            model = without_cuda(model)
        if sharded:
            return self._shard(model, options)
        return MODEL_WRAPPERS.build(
            {'type': kind or 'MMDistributedDataParallel',
             **(options or dict(broadcast_buffers=False,
                                find_unused_parameters=self.cfg.get('find_unused_parameters', False)))},
            default_args=dict(module=model))

    def _shard(self, model: nn.Module, options: dict) -> nn.Module:
        """Share out a network; its weights are made before, while they are whole and on the CPU."""
        self.model = model
        self._init_model_weights()
        return MMFullyShardedDataParallel(model, **options)

    def _init_model_weights(self) -> None:
        if is_sharded(self.model):
            return
        if not self.cfg.get('channels_last'):
            super()._init_model_weights()
            return
        # random numbers fill memory in its order: a seed shall give the same weights whatever that will be
        self.model.to(memory_format=torch.contiguous_format)
        super()._init_model_weights()
        self.model.to(memory_format=torch.channels_last)

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
        """Register mmengine's default hooks, those that watch over losses and gradients, and the progress line."""
        ours = dict(finite_loss=dict(type='FiniteLossHook'), gradient_check=dict(type='GradientCheckHook'))
        if ProgressHook.watched():
            ours['progress'] = dict(type='ProgressHook')
        if is_sharded(self.model):
            ours['whole_weights'] = WholeWeightsHook()
        super().register_default_hooks({
            name: hook for name, hook in {**ours, **(hooks or {})}.items()
            if hook is not None or name not in (*ours, 'progress')})

    def register_hook(self, hook: Hook | dict, priority: str | int | None = None) -> None:
        """Register a hook; in place of a class of mmengine that we have a better version of stands ours.

        Raises:
            InputError: it averages weights, which are shared out.
        """
        super().register_hook(_ours(hook, HOOKS), priority)
        if is_sharded(self.model) and any(isinstance(known, EMAHook) for known in self.hooks):
            raise InputError('EMAHook keeps a second copy of the whole network, which '
                             'MMFullyShardedDataParallel shares out: leave one of the two away')

    # -------------------------------------------------------------------------------------------------- training

    def build_optim_wrapper(self, optim_wrapper: OptimWrapper | dict) -> OptimWrapper | OptimWrapperDict:
        """Build the optimiser and its wrapper; `custom_keys` that match no weight are warned of."""
        if isinstance(optim_wrapper, dict) and 'optimizer' in optim_wrapper:
            warn_of_unmatched_keys(optim_wrapper, unwrap(self.model))
        return super().build_optim_wrapper(_ours(optim_wrapper, OPTIM_WRAPPERS))

    def scale_lr(self, optim_wrapper: OptimWrapper, auto_scale_lr: dict | None = None) -> None:
        """Multiply learning rates by the samples of a step, accumulated ones included, over `base_batch_size`."""
        if not (auto_scale_lr or {}).get('enable'):
            return
        if not auto_scale_lr.get('base_batch_size'):
            raise InputError('auto_scale_lr needs base_batch_size, the batch size that the rate was chosen for')
        loader = self._train_dataloader
        size = loader['batch_size'] if isinstance(loader, dict) else loader.batch_size
        for wrapper in _wrappers(optim_wrapper):
            samples = self.world_size * size * wrapper._accumulative_counts
            factor = samples / auto_scale_lr['base_batch_size']
            self.logger.info(f'Learning rates are multiplied by {factor:g}: {samples} samples a step instead of '
                             f'{auto_scale_lr["base_batch_size"]}')
            for group in wrapper.optimizer.param_groups:
                group['lr'] *= factor

    def train(self) -> nn.Module:
        """Train, and return the trained model."""
        if self._train_loop is None:
            raise InputError('nothing to train with: train_dataloader, train_cfg and optim_wrapper are not given')
        self._train_loop = self.build_train_loop(self._train_loop)
        self.optim_wrapper = self.build_optim_wrapper(self.optim_wrapper)
        self.scale_lr(self.optim_wrapper, self.auto_scale_lr)
        if self.param_schedulers is not None:
            self.param_schedulers = self.build_param_scheduler(self.param_schedulers)
        if self._val_loop is not None:
            self._val_loop = self.build_val_loop(self._val_loop)
        self.call_hook('before_run')
        self._init_model_weights()
        self._begins_training, self._gradients = True, None
        try:
            self.load_or_resume()
        finally:
            self._begins_training = False
        self._prepare_steps()
        model = self.train_loop.run()
        self.call_hook('after_run')
        return model

    def _prepare_steps(self) -> None:
        """Turn on what the config asks of the network in training, and begin to count accumulated gradients."""
        model = unwrap(self.model)
        blocks = self.cfg.get('activation_checkpointing')
        if blocks:
            names = None if blocks is True else [blocks] if isinstance(blocks, str) else blocks
            self.logger.info(f'Activations are computed again for {", ".join(recompute_activations(model, names))}')
        if self.cfg.get('efficient_conv_bn_eval'):
            turn_on_efficient_conv_bn_eval(model, self.cfg.efficient_conv_bn_eval)
        done = self.train_loop.iter
        if self._gradients:
            weights = dict(model.named_parameters())
            for name, gradient in sliced_like(self._gradients, weights).items():
                weights[name].grad = gradient.to(weights[name].device)
        # nothing is lost where the gradients are there; then mmengine need not be told, and does not warn
        self.optim_wrapper.initialize_count_status(self.model, 0 if self._gradients else done, self.max_iters)
        for wrapper in _wrappers(self.optim_wrapper):
            wrapper._inner_count = done
        self._maybe_compile('train_step')

    def _maybe_compile(self, target: str) -> None:
        options = self.cfg.get('compile')
        if options and target == 'train_step':
            compile_network(unwrap(self.model), **({} if options is True else options))
            self.logger.info('The network is compiled: the first steps take longer')

    # ----------------------------------------------------------------------------------------------- checkpoints

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
        if is_sharded(self.model):
            checkpoint = self._sliced(checkpoint)
        if self._resumes:
            self._gradients = checkpoint.get('gradients')
        load_weights(self.model, checkpoint, strict=strict, revise_keys=revise_keys, name=filename,
                     fine_tune=self._begins_training and not self._resumes)
        self._has_loaded = True
        self.logger.info(f'Load checkpoint from {filename}')
        self._loaded_meta = checkpoint.get('meta', {})
        return checkpoint

    def _sliced(self, checkpoint: dict) -> dict:
        """Cut a checkpoint into this process's share."""
        whole = OrderedDict(sliced_like(weights_of(checkpoint), self.model.state_dict()))
        cut = {**checkpoint, 'state_dict': whole}
        if self._resumes and 'optimizer' in checkpoint:
            cut['optimizer'] = slice_optimizer(checkpoint['optimizer'], self.optim_wrapper.optimizer)
        return cut

    def resume(self, filename: str, resume_optimizer: bool = True, resume_param_scheduler: bool = True,
               map_location: MapLocation = 'default') -> None:
        """Take up a training where a checkpoint left it: weights, optimiser, schedulers, seed, place in the data."""
        moved = Path(self.work_dir, Path(filename).name)  # `last_checkpoint` of a moved folder names the old one
        if '://' not in filename and not Path(filename).exists() and moved.is_file():
            filename = str(moved)
        if map_location == 'default' and is_sharded(self.model):
            map_location = 'cpu'  # the whole need not fit on one device
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

    def save_checkpoint(self, out_dir: str, filename: str, file_client_args: dict | None = None,
                        save_optimizer: bool = True, save_param_scheduler: bool = True, meta: dict | None = None,
                        by_epoch: bool = True, backend_args: dict | None = None) -> None:
        """Save a checkpoint: at any moment `filename` is the old one or the whole new one.

        All processes call it together: what is spread over them is gathered, and the first one writes.

        Args:
            by_epoch: it is called at the end of an epoch, else of an iteration, before that is counted.
            meta: values to keep; `epoch` and `iter` override the counted ones.

        Raises:
            DiskFullError: there is no room for it.
        """
        counted = dict(epoch=self.epoch + by_epoch, iter=self.iter + (not by_epoch))
        checkpoint = dict(meta={**counted, **(meta or {}), **self._facts()},
                          state_dict=base.weights_to_cpu(gathered(unwrap(self.model).state_dict())),
                          message_hub=_to_cpu(self.message_hub.state_dict()))
        if hasattr(self.train_loop, 'samples_drawn'):
            checkpoint['meta']['samples'] = self.train_loop.samples_drawn(checkpoint['meta']['iter'])
        if save_optimizer:
            checkpoint['optimizer'] = _to_cpu(gathered(self.optim_wrapper.state_dict()))
            checkpoint.update(self._accumulated())
        if save_param_scheduler and self.param_schedulers is not None:
            checkpoint['param_schedulers'] = _states(self.param_schedulers)
        if not is_main_process():
            return
        self.call_hook('before_save_checkpoint', checkpoint=checkpoint)
        path = join_path(out_dir, filename, backend_args=backend_args)
        if file_client_args is None and isinstance(get_file_backend(path, backend_args=backend_args), LocalBackend):
            write_checkpoint(checkpoint, path)
        else:
            base.save_checkpoint(checkpoint, path, file_client_args=file_client_args, backend_args=backend_args)

    def _accumulated(self) -> dict:
        """The gradients of steps that are begun: the mean over all processes, which each of them goes on with, too."""
        begun = any(wrapper._inner_count % wrapper._accumulative_counts > 0 and wrapper._inner_count < self.max_iters
                    for wrapper in _wrappers(self.optim_wrapper))
        if not begun:
            return {}
        gradients = {name: weight.grad for name, weight in unwrap(self.model).named_parameters()
                     if weight.grad is not None}
        if not is_sharded(self.model):
            for gradient in gradients.values():
                all_reduce(gradient, op='mean')
        return dict(gradients=_to_cpu(gathered(gradients)))

    def _facts(self) -> dict:
        facts = dict(cfg=self._config_text, seed=self._shared_seed, experiment_name=self.experiment_name,
                     time=time.strftime('%Y%m%d_%H%M%S'), mmengine_version=mmengine.__version__,
                     mmseg_version=__version__)
        metainfo = getattr(self.train_dataloader.dataset, 'metainfo', None)
        return facts if metainfo is None else {**facts, 'dataset_meta': metainfo}

    @functools.cached_property
    def _config_text(self) -> str:
        return self.cfg.pretty_text  # takes seconds for a long config


def _wrappers(optim_wrapper: OptimWrapper | OptimWrapperDict) -> list[OptimWrapper]:
    return list(optim_wrapper.values()) if isinstance(optim_wrapper, OptimWrapperDict) else [optim_wrapper]


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
