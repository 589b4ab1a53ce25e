"""A whole config of 0.x, or a leaf of 0.x over a base of 1.x, in the words of 1.x."""
from __future__ import annotations

from collections.abc import Mapping

from mmseg.utils.errors import ConfigError

from .datasets import translate_data
from .keys import OLD_KEYS, is_old, merged
from .leaf import own_optimizer
from .pipelines import Prepared
from .runtime import backends, default_hooks, environment, evaluators, length_of, train_loop
from .schedules import Schedule, translate_optimizer

# Parts of 0.x files that only served others, and stand in them now.
SERVED = ('img_norm_cfg', 'train_pipeline', 'test_pipeline', 'val_pipeline', 'tta_pipeline', 'img_scale')
LOOP_KEYS = ('type', 'by_epoch', 'max_iters', 'max_epochs', 'val_interval')
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def translate(old: Mapping) -> dict:
    """Return a config of 1.x that trains and evaluates as one of 0.x did; one of 1.x is returned as it is.

    Raises:
        ConfigError: a part has no counterpart; the message names its key.
    """
    if not is_old(old):
        return dict(old)
    base = {key: value for key, value in old.items() if key not in OLD_KEYS}
    length, by_epoch = _length(old, base)
    whole = not any(key in base for key in LOADERS)  # a leaf over a base of 1.x changes what it names, and no more
    loaders, left = translate_data(old.get('data') or {}, by_epoch, whole)
    _check_normalisation(left)
    result = {key: value for key, value in base.items() if not (whole and key in SERVED)}
    _move_model_modes(result)
    if 'model' in result:
        result['model'] = _with_preprocessor(result['model'], left)
    result.update(_pipelines(loaders, left))
    for name, loader in loaders.items():
        result[name] = merged(result.get(name), loader)
    evaluation = old.get('evaluation') or {}
    if whole or evaluation:
        found = evaluators(evaluation)
        result.update({f'{split}_evaluator': found for split in ('val', 'test') if f'{split}_dataloader' in result})
    result.update(_optimisation(old, base, length, by_epoch))
    if length_of(old)[0] is not None:
        result['train_cfg'] = train_loop(length, by_epoch, evaluation)
    elif 'interval' in evaluation and 'train_cfg' in result:
        result['train_cfg'] = merged(result['train_cfg'], dict(val_interval=evaluation['interval']))
    result.update(_whole_runtime(old, result, by_epoch, length) if whole else _changed_hooks(old, base, by_epoch))
    if old.get('resume_from'):
        result.update(load_from=old['resume_from'], resume=True)
    if old.get('seed') is not None:
        result['randomness'] = dict(seed=old['seed'], deterministic=bool(old.get('deterministic')))
    return result


def translate_file(config: Mapping, file: str | None, options: Mapping) -> dict:
    """Translate what stands in a file, with `options` by dotted key set in it; errors name the file."""
    old = dict(config)
    if 'optim_wrapper' in old:
        old['optimizer'] = own_optimizer(file, options)
    try:
        return translate(old)
    except ConfigError as error:
        raise ConfigError(f'{file or "a config"}: {error}') from None


def losses(old: Mapping) -> list[str]:
    """Say what a config of 0.x asks for and will not get."""
    if any(mode == 'val' for mode, _ in old.get('workflow') or ()):
        return ['workflow: losses of the validation set are not computed any more; its metrics are']
    return []


def _length(old: Mapping, base: Mapping) -> tuple[int | None, bool]:
    """Return how long the training is, by the runner of 0.x or the loop of a base of 1.x."""
    length, by_epoch = length_of(old)
    loop = base.get('train_cfg') or {}
    if length is None and 'max_epochs' in loop:
        return loop['max_epochs'], True
    return (loop.get('max_iters'), False) if length is None else (length, by_epoch)


def _check_normalisation(left: Mapping[str, Prepared]) -> None:
    """Check what one preprocessor has to do for all splits."""
    said = {split: {key: list(prepared.preprocessor[key]) for key in ('mean', 'std') if key in prepared.preprocessor}
            for split, prepared in left.items()}
    values = [value for value in said.values() if value]
    if any(value != values[0] for value in values):
        raise ConfigError(f'Normalize differs between the pipelines of this 0.x config ({said}): in 1.x the '
                          'data_preprocessor of the model normalises all images alike')


def _move_model_modes(result: dict) -> None:
    """The earliest configs have `train_cfg` and `test_cfg` of the model beside it; these names mean loops now."""
    for key in ('train_cfg', 'test_cfg'):
        value = result.get(key)
        if isinstance(value, Mapping) and not any(name in value for name in LOOP_KEYS) and 'model' in result:
            result['model'] = {**result['model'], key: value}
            del result[key]


def _with_preprocessor(model: Mapping, left: Mapping[str, Prepared]) -> dict:
    """Let the model normalise and pad, as the pipelines did."""
    if not left:
        return dict(model)
    options = dict((left.get('train') or next(iter(left.values()))).preprocessor)
    if 'train' not in left:
        options.pop('size', None)
    evaluated = [left[split].preprocessor for split in ('val', 'test') if split in left]
    padding = {key: said[key] for said in evaluated for key in ('size', 'size_divisor') if key in said}
    if padding:
        options['test_cfg'] = padding
    own = model.get('data_preprocessor') or dict(type='SegDataPreProcessor')
    rest = {key: value for key, value in model.items() if key not in ('type', 'data_preprocessor')}
    return dict(type=model.get('type', 'EncoderDecoder'), data_preprocessor=merged(own, options), **rest)


def _pipelines(loaders: Mapping[str, Mapping], left: Mapping[str, Prepared]) -> dict:
    """Return `train_pipeline`, `test_pipeline` and `tta_pipeline`, which commands look for by these names."""
    found = {}
    for split in ('train', 'val', 'test'):
        dataset = loaders.get(f'{split}_dataloader', {}).get('dataset') or {}
        while 'pipeline' not in dataset and ('dataset' in dataset or 'datasets' in dataset):
            dataset = dataset['dataset'] if 'dataset' in dataset else dataset['datasets'][0]
        if 'pipeline' in dataset:
            found['train_pipeline' if split == 'train' else 'test_pipeline'] = dataset['pipeline']
        if split in left and left[split].tta:
            found['tta_pipeline'] = left[split].tta
    return found


def _optimisation(old: Mapping, base: Mapping, length: int | None, by_epoch: bool) -> dict:
    found = {}
    if any(key in old for key in ('optimizer', 'optimizer_config', 'fp16')):
        wrapper = translate_optimizer(old.get('optimizer'), old.get('optimizer_config') or {}, old.get('fp16'))
        if 'optim_wrapper' in base and 'fp16' not in old and 'type' not in (old.get('optimizer_config') or {}):
            del wrapper['type']
        found['optim_wrapper'] = merged(base.get('optim_wrapper'), wrapper)
    schedulers = []
    for key, suffix in (('lr_config', 'LR'), ('momentum_config', 'Momentum')):
        if old.get(key):
            if length is None:
                raise ConfigError(f'{key} of this 0.x config needs to know how long the training is: add '
                                  "runner=dict(type='IterBasedRunner', max_iters=…)")
            schedulers += Schedule(suffix, length, by_epoch).translate(old[key])
    if 'lr_config' in old:
        found['param_scheduler'] = schedulers
    return found


def _whole_runtime(old: Mapping, result: Mapping, by_epoch: bool, length: int | None) -> dict:
    """Return hooks, environment, visualizer and the like of a config that has no base of 1.x."""
    loops = {f'{split}_cfg': dict(type=f'{split.title()}Loop') for split in ('val', 'test')
             if f'{split}_dataloader' in result}
    visualizer = dict(type='SegLocalVisualizer', name='visualizer', vis_backends=backends(old.get('log_config') or {}))
    return dict(
        **loops, default_scope='mmseg', default_hooks=default_hooks(old, by_epoch, length), env_cfg=environment(old),
        visualizer=visualizer, log_processor=dict(by_epoch=by_epoch), log_level=result.get('log_level', 'INFO'),
        load_from=result.get('load_from'), resume=bool(old.get('auto_resume')),
        tta_model=result.get('tta_model', dict(type='SegTTAModel')))


def _changed_hooks(old: Mapping, base: Mapping, by_epoch: bool) -> dict:
    """Return what a leaf over a base of 1.x says of its hooks."""
    asked = default_hooks(old, by_epoch, None)
    changed = {}
    if 'log_config' in old:
        changed['logger'] = dict(interval=asked['logger']['interval'])
    if 'checkpoint_config' in old or 'evaluation' in old:
        named = (*(old.get('checkpoint_config') or {}), 'save_best', 'rule')
        changed['checkpoint'] = {key: value for key, value in asked['checkpoint'].items()
                                 if key in named and key not in ('by_epoch', 'type')}
    return {'default_hooks': merged(base.get('default_hooks'), changed)} if changed else {}
