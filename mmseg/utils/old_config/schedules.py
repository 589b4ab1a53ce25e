"""Optimisers, learning rates and momenta of 0.x, computed as the hooks of 0.x computed them."""
from __future__ import annotations

from collections.abc import Callable, Mapping

from mmseg.utils.errors import ConfigError

from .keys import refuse_unknown, refuse_value, renamed

OPTIMIZER_HOOKS = {
    None: 'OptimWrapper', 'OptimizerHook': 'OptimWrapper', 'GradientCumulativeOptimizerHook': 'OptimWrapper',
    'Fp16OptimizerHook': 'AmpOptimWrapper', 'GradientCumulativeFp16OptimizerHook': 'AmpOptimWrapper',
}
# Distributed training sums gradients by itself now.
SUMMING = ('coalesce', 'bucket_size_mb', 'distributed')
WARM_UP = ('warmup', 'warmup_iters', 'warmup_ratio', 'warmup_by_epoch')


def translate_optimizer(optimizer: Mapping | None, config: Mapping, fp16: Mapping | None) -> dict:
    """Return `optim_wrapper` of `optimizer`, `optimizer_config` and `fp16`."""
    hook = config.get('type')
    if hook not in OPTIMIZER_HOOKS:
        raise refuse_value('optimizer_config.type', hook, [name for name in OPTIMIZER_HOOKS if name])
    refuse_unknown(config, ('type', 'grad_clip', 'cumulative_iters', 'loss_scale', *SUMMING), 'optimizer_config')
    wrapper = dict(type=OPTIMIZER_HOOKS[hook] if fp16 is None else 'AmpOptimWrapper')
    if wrapper['type'] == 'AmpOptimWrapper':
        wrapper['loss_scale'] = config.get('loss_scale', (fp16 or {}).get('loss_scale', 512.))
    if optimizer is not None:
        outside = ('paramwise_cfg', 'constructor')
        wrapper['optimizer'] = {key: value for key, value in optimizer.items() if key not in outside}
        wrapper.update({key: optimizer[key] for key in outside if key in optimizer})
    wrapper.update(renamed({key: config[key] for key in ('grad_clip', 'cumulative_iters') if config.get(key)},
                           {'grad_clip': 'clip_grad', 'cumulative_iters': 'accumulative_counts'}))
    return wrapper


class Schedule:
    """Translates `lr_config` (`suffix='LR'`) or `momentum_config` (`'Momentum'`) for a training of some length.

    Args:
        end: iterations or, with `by_epoch`, epochs of the training.
        by_epoch: what its runner counts.
    """

    def __init__(self, suffix: str, end: int, by_epoch: bool):
        self.suffix, self.end, self.runs_by_epoch = suffix, end, by_epoch
        self.where, self.lowest = ('lr_config', 'min_lr') if suffix == 'LR' else ('momentum_config', 'min_momentum')

    def translate(self, config: Mapping) -> list[dict]:
        """Return the schedulers of a config; they multiply where they overlap, as warm-up did in 0.x."""
        config = dict(config)
        policy = config.pop('policy', None)
        if policy not in POLICIES or (policy == 'OneCycle' and self.suffix != 'LR'):
            raise refuse_value(f'{self.where}.policy', policy, POLICIES)
        known, make = POLICIES[policy]
        options = {key: value for key, value in config.items() if key not in (*WARM_UP, 'by_epoch')}
        refuse_unknown(options, known + ((self.lowest, f'{self.lowest}_ratio') if 'lowest' in known else ()),
                       self.where)
        in_epochs = config.get('by_epoch', True) and self.runs_by_epoch
        schedulers = [dict(type=f'{kind}{self.suffix}', **values) for kind, values in make(self, options)]
        for scheduler in schedulers:
            scheduler['by_epoch'] = self.runs_by_epoch
            if self.runs_by_epoch and not in_epochs:
                scheduler['convert_to_iter_based'] = True
        return [*self._warm_up(config), *schedulers]

    def _warm_up(self, config: Mapping) -> list[dict]:
        kind, count = config.get('warmup'), config.get('warmup_iters', 0)
        if kind is None:
            return []
        if kind not in ('constant', 'linear'):
            raise refuse_value(f'{self.where}.warmup', kind, ('constant', 'linear'))
        factor = 'factor' if kind == 'constant' else 'start_factor'
        # the full value is reached at the last of `begin … end - 1`, that is at the iteration `count`
        return [dict(type=f'{kind.title()}{self.suffix}', begin=0, end=count + 1,
                     by_epoch=bool(config.get('warmup_by_epoch')), **{factor: config.get('warmup_ratio', 0.1)})]

    def lowest_value(self, options: Mapping) -> dict:
        """Return where the schedule ends."""
        if options.get(f'{self.lowest}_ratio') is not None:
            return dict(eta_min_ratio=options[f'{self.lowest}_ratio'])
        return dict(eta_min=options.get(self.lowest, 0.))

    def share(self, fraction: float) -> int:
        """Return a fraction of the training."""
        return int(self.end * fraction)


def _fixed(schedule: Schedule, options: Mapping) -> list:
    return []


def _poly(schedule: Schedule, options: Mapping) -> list:
    lowest = schedule.lowest_value(options)
    if 'eta_min' not in lowest:
        raise ConfigError(f'{schedule.where}.{schedule.lowest}_ratio of this 0.x config has no counterpart with the '
                          f'policy poly: give {schedule.lowest}')
    return [('Poly', dict(power=options.get('power', 1.), **lowest, begin=0, end=schedule.end))]


def _step(schedule: Schedule, options: Mapping) -> list:
    step, gamma = options['step'], options.get('gamma', 0.1)
    if isinstance(step, int):
        return [('Step', dict(step_size=step, gamma=gamma))]
    return [('MultiStep', dict(milestones=list(step), gamma=gamma))]


def _exponential(schedule: Schedule, options: Mapping) -> list:
    return [('Exponential', dict(gamma=options['gamma'], begin=0, end=schedule.end))]


def _cosine(schedule: Schedule, options: Mapping) -> list:
    return [('CosineAnnealing', dict(T_max=schedule.end, **schedule.lowest_value(options), begin=0, end=schedule.end))]


def _flat_cosine(schedule: Schedule, options: Mapping) -> list:
    begin = schedule.share(options.get('start_percent', 0.75))
    return [('CosineAnnealing', dict(T_max=schedule.end - begin, **schedule.lowest_value(options), begin=begin,
                                     end=schedule.end))]


def _cosine_restart(schedule: Schedule, options: Mapping) -> list:
    periods = list(options['periods'])
    return [('CosineRestart', dict(periods=periods, restart_weights=list(options.get('restart_weights', [1])),
                                   **schedule.lowest_value(options), begin=0, end=sum(periods)))]


def _cyclic(schedule: Schedule, options: Mapping) -> list:
    """Up to a multiple of the initial value and down to another, as often as asked."""
    times, up = options.get('cyclic_times', 1), options.get('step_ratio_up', 0.4)
    if options.get('anneal_strategy', 'cos') != 'cos' or times != 1 or options.get('gamma', 1) != 1:
        raise ConfigError(f'{schedule.where}: the policy cyclic has a counterpart for one cosine cycle alone; write '
                          'other cycles as schedulers of 1.x (docs/en/migration.md)')
    target, middle = options.get('target_ratio', (10, 1e-4)), schedule.share(up)
    high, low = target if not isinstance(target, (int, float)) else (target, target / 1e5)
    return [('CosineAnnealing', dict(T_max=middle, eta_min_ratio=high, begin=0, end=middle + 1)),
            ('CosineAnnealing', dict(T_max=schedule.end - middle, eta_min_ratio=low, begin=middle, end=schedule.end))]


def _one_cycle(schedule: Schedule, options: Mapping) -> list:
    rest = renamed({key: value for key, value in options.items() if key != 'total_steps'}, {'max_lr': 'eta_max'})
    return [('OneCycle', dict(total_steps=options.get('total_steps', schedule.end), **rest))]


# The policies of 0.x: the keys that each knows ('lowest' is where it ends), and what makes its schedulers.
POLICIES: dict[str, tuple[tuple[str, ...], Callable[[Schedule, Mapping], list]]] = {
    'fixed': ((), _fixed),
    'poly': (('power', 'lowest'), _poly),
    'step': (('step', 'gamma'), _step),
    'exp': (('gamma',), _exponential),
    'CosineAnnealing': (('lowest',), _cosine),
    'FlatCosineAnnealing': (('start_percent', 'lowest'), _flat_cosine),
    'CosineRestart': (('periods', 'restart_weights', 'lowest'), _cosine_restart),
    'cyclic': (('target_ratio', 'cyclic_times', 'step_ratio_up', 'anneal_strategy', 'gamma'), _cyclic),
    'OneCycle': (('max_lr', 'total_steps', 'pct_start', 'anneal_strategy', 'div_factor', 'final_div_factor',
                  'three_phase'), _one_cycle),
}
