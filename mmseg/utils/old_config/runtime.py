"""Runner, hooks, evaluation and environment of 0.x."""
from __future__ import annotations

from collections.abc import Mapping

from mmseg.utils.errors import ConfigError

from .keys import refuse_unknown, refuse_value

LOOPS = {'IterBasedRunner': ('IterBasedTrainLoop', 'max_iters'),
         'EpochBasedRunner': ('EpochBasedTrainLoop', 'max_epochs')}
IOU_METRICS = ('mIoU', 'mDice', 'mFscore')
# What became of the loggers of 0.x; text is always logged.
BACKENDS = {'TextLoggerHook': None, 'TensorboardLoggerHook': 'TensorboardVisBackend', 'WandbLoggerHook':
            'WandbVisBackend', 'MMSegWandbHook': 'WandbVisBackend', 'MlflowLoggerHook': 'MLflowVisBackend',
            'ClearMLLoggerHook': 'ClearMLVisBackend', 'DvcliveLoggerHook': 'DVCLiveVisBackend'}
# Options of `evaluation` that chose among ways to compute the same figures.
SAME_FIGURES = ('type', 'by_epoch', 'pre_eval', 'efficient_test', 'gpu_collect', 'tmpdir', 'broadcast_bn_buffer')
ENVIRONMENT = {'cudnn_benchmark': ('cudnn_benchmark',), 'opencv_num_threads': ('mp_cfg', 'opencv_num_threads'),
               'mp_start_method': ('mp_cfg', 'mp_start_method'), 'dist_params': ('dist_cfg',)}


def length_of(config: Mapping) -> tuple[int | None, bool]:
    """Return how long a config trains, in iterations or epochs, and whether it is epochs."""
    runner = dict(config.get('runner') or {})
    for old, kind, key in (('total_iters', 'IterBasedRunner', 'max_iters'),
                           ('total_epochs', 'EpochBasedRunner', 'max_epochs')):
        if old in config and not runner:
            runner = {'type': kind, key: config[old]}
    if not runner:
        return None, False
    kind = runner.get('type', 'EpochBasedRunner' if 'max_epochs' in runner else 'IterBasedRunner')
    if kind not in LOOPS:
        raise refuse_value('runner.type', kind, LOOPS)
    key = LOOPS[kind][1]
    refuse_unknown(runner, ('type', key), 'runner')
    if key not in runner:
        raise ConfigError(f'runner of this 0.x config has no {key}, which says how long a {kind} trains')
    return runner[key], kind == 'EpochBasedRunner'


def train_loop(length: int, by_epoch: bool, evaluation: Mapping) -> dict:
    """Return `train_cfg` of the runner."""
    kind, key = LOOPS['EpochBasedRunner' if by_epoch else 'IterBasedRunner']
    start = dict(val_begin=evaluation['start']) if evaluation.get('start') else {}
    return {'type': kind, key: length, 'val_interval': evaluation.get('interval', 1 if by_epoch else length), **start}


def evaluators(evaluation: Mapping) -> list[dict] | dict:
    """Return the metrics that `evaluation` names."""
    refuse_unknown(evaluation, ('interval', 'start', 'metric', 'save_best', 'rule', 'out_dir', *SAME_FIGURES),
                   'evaluation')
    names = evaluation.get('metric', 'mIoU')
    names = [names] if isinstance(names, str) else list(names)
    for name in names:
        if name not in (*IOU_METRICS, 'cityscapes'):
            raise refuse_value('evaluation.metric', name, (*IOU_METRICS, 'cityscapes'))
    chosen = [name for name in names if name in IOU_METRICS]
    metrics = [dict(type='IoUMetric', iou_metrics=chosen)] if chosen else []
    if 'cityscapes' in names:
        metrics.append(dict(type='CityscapesMetric', output_dir='work_dirs/format_results'))
    return metrics[0] if len(metrics) == 1 else metrics


def default_hooks(config: Mapping, by_epoch: bool, length: int | None) -> dict:
    """Return the hooks of every run, with what `checkpoint_config`, `log_config` and `evaluation` say."""
    checkpoint = dict(config.get('checkpoint_config') or {})
    refuse_unknown(checkpoint, ('by_epoch', 'interval', 'save_optimizer', 'out_dir', 'max_keep_ckpts', 'save_last',
                                'sync_buffer', 'create_symlink', 'meta', 'type', 'file_client_args'),
                   'checkpoint_config')
    kept = {key: value for key, value in checkpoint.items()
            if key in ('interval', 'save_optimizer', 'out_dir', 'max_keep_ckpts', 'save_last')}
    evaluation = config.get('evaluation') or {}
    best = {key: evaluation[key] for key in ('save_best', 'rule') if evaluation.get(key) is not None}
    if best.get('save_best') == 'auto':
        best['save_best'] = 'mIoU'
    interval = (config.get('log_config') or {}).get('interval', 10)
    return dict(
        timer=dict(type='IterTimerHook'),
        logger=dict(type='LoggerHook', interval=interval, log_metric_by_epoch=by_epoch),
        param_scheduler=dict(type='ParamSchedulerHook'),
        checkpoint={'type': 'CheckpointHook', 'by_epoch': by_epoch, 'interval': 1 if by_epoch else length or 1,
                    **kept, **best},
        sampler_seed=dict(type='DistSamplerSeedHook'),
        visualization=dict(type='SegVisualizationHook'))


def backends(log_config: Mapping) -> list[dict]:
    """Return the backends of the visualizer for the loggers of 0.x."""
    refuse_unknown(log_config, ('interval', 'hooks'), 'log_config')
    found = [dict(type='LocalVisBackend')]
    for hook in log_config.get('hooks', ()):
        if hook['type'] not in BACKENDS:
            raise refuse_value('log_config.hooks: type', hook['type'], BACKENDS)
        if BACKENDS[hook['type']]:
            options = {key: hook[key] for key in ('init_kwargs', 'exp_name') if key in hook}
            found.append(dict(type=BACKENDS[hook['type']], **options))
    return found


def environment(config: Mapping) -> dict:
    """Return `env_cfg`."""
    env = dict(cudnn_benchmark=False, mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
               dist_cfg=dict(backend='nccl'))
    for key, (first, *rest) in ENVIRONMENT.items():
        if key in config and rest:
            env[first][rest[0]] = config[key]
        elif key in config:
            env[first] = config[key]
    return env
