"""Pipelines of 0.x: each transform in its 1.x form; what the device does now becomes the data preprocessor's."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mmseg.utils.errors import ConfigError

from .keys import refuse_unknown, renamed

# Their work, tensors and batching, is that of PackSegInputs.
PACKING = ('DefaultFormatBundle', 'Collect', 'ImageToTensor', 'ToTensor', 'ToDataContainer', 'Transpose')
# The views of `--tta` where the config names none, as `--aug-test` of 0.x took them.
TTA_RATIOS = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
RESIZE_KEYS = ('type', 'img_scale', 'multiscale_mode', 'ratio_range', 'keep_ratio', 'min_size', 'interpolation')
AUG_KEYS = ('type', 'img_scale', 'img_ratios', 'flip', 'flip_direction', 'transforms')
LOCAL_FILES = (None, {'backend': 'disk'}, {'backend': 'local'})


@dataclass
class Prepared:
    """What a pipeline leaves to other parts of the config.

    Args:
        preprocessor: options of the data preprocessor.
        reduce_zero_label: of the data set; None where the pipeline does not say.
        tta: the pipeline of several views; None for training.
    """

    preprocessor: dict = field(default_factory=dict)
    reduce_zero_label: bool | None = None
    tta: list | None = None


def without_local_backend(options: Mapping) -> dict:
    """Rename `file_client_args`; the local disk needs not be named."""
    options = renamed(options, {'file_client_args': 'backend_args'})
    return {key: value for key, value in options.items() if key != 'backend_args' or value not in LOCAL_FILES}


def translate_steps(steps: Sequence[Mapping], where: str, prepared: Prepared) -> list[dict]:
    """Translate a pipeline without `MultiScaleFlipAug`; `prepared` learns what it leaves to others."""
    found, packs, meta = [], False, {}
    for step in steps:
        kind = step['type']
        if kind in PACKING:
            packs = True
            meta = {'meta_keys': step['meta_keys']} if 'meta_keys' in step else meta
        elif kind in ('Normalize', 'Pad'):
            prepared.preprocessor.update(LEFT_TO_THE_DEVICE[kind](step, where))
        elif kind == 'LoadAnnotations':
            prepared.reduce_zero_label = step.get('reduce_zero_label', prepared.reduce_zero_label)
            found.append(without_local_backend({k: v for k, v in step.items() if k != 'reduce_zero_label'}))
        elif kind == 'Resize':
            found.append(_resize(step, where))
        else:
            found.append(without_local_backend(renamed(step, {'flip_ratio': 'prob'} if kind == 'RandomFlip' else {})))
    return [*found, dict(type='PackSegInputs', **meta)] if packs else found


def _normalize(step: Mapping, where: str) -> dict:
    refuse_unknown(step, ('type', 'mean', 'std', 'to_rgb'), f'{where}: Normalize')
    return dict(mean=step['mean'], std=step['std'], bgr_to_rgb=step.get('to_rgb', True))


def _pad(step: Mapping, where: str) -> dict:
    refuse_unknown(step, ('type', 'size', 'size_divisor', 'pad_val', 'seg_pad_val'), f'{where}: Pad')
    size = {key: step[key] for key in ('size', 'size_divisor') if step.get(key) is not None}
    return dict(pad_val=step.get('pad_val', 0), seg_pad_val=step.get('seg_pad_val', 255), **size)


LEFT_TO_THE_DEVICE = {'Normalize': _normalize, 'Pad': _pad}


def _resize(step: Mapping, where: str) -> dict:
    """0.x has one transform for what are four in 1.x; it kept the ratio of the sides unless told otherwise."""
    where = f'{where}: Resize'
    refuse_unknown(step, RESIZE_KEYS, where)
    scale, ratios = step.get('img_scale'), step.get('ratio_range')
    common = dict(keep_ratio=step.get('keep_ratio', True))
    if 'interpolation' in step:
        common['interpolation'] = step['interpolation']
    if scale is None:
        raise ConfigError(f'{where} without img_scale, which takes the scale of each image, has no counterpart in 1.x: '
                          'give img_scale, or a RandomChoiceResize')
    several = [tuple(one) for one in scale] if isinstance(scale[0], Sequence) else [tuple(scale)]
    if step.get('min_size') is not None:
        return dict(type='ResizeShortestEdge', scale=step['min_size'], max_size=max(several[0]))
    if ratios is not None:
        return dict(type='RandomResize', scale=several[0], ratio_range=tuple(ratios), **common)
    if len(several) == 1:
        return dict(type='Resize', scale=several[0], **common)
    if step.get('multiscale_mode', 'range') == 'value':
        return dict(type='RandomChoiceResize', scales=several, **common)
    return dict(type='RandomResize', scale=several, **common)


def translate_test(steps: Sequence[Mapping], labels: Mapping | None, where: str) -> tuple[list[dict], Prepared]:
    """Translate a pipeline of evaluation.

    Args:
        labels: the transform that loads labels, which 1.x loads behind the resizing; None where there are none.

    Returns:
        The pipeline of one view, and with it that of several.
    """
    prepared = Prepared()
    place = next((i for i, step in enumerate(steps) if step['type'] == 'MultiScaleFlipAug'), None)
    if place is None:
        return translate_steps(steps, where, prepared), prepared
    aug = steps[place]
    refuse_unknown(aug, AUG_KEYS, f'{where}: MultiScaleFlipAug')
    before = translate_steps(steps[:place], where, prepared)
    inside = [step for step in aug['transforms'] if step['type'] not in ('Resize', 'RandomFlip')]
    *inside, pack = translate_steps([*inside, dict(type='ImageToTensor')], where, prepared)
    loading = [dict(labels)] if labels else []
    resizes = any(step['type'] == 'Resize' for step in aug['transforms'])
    keep_ratio = next((step.get('keep_ratio', True) for step in aug['transforms'] if step['type'] == 'Resize'), True)
    scales, ratios = _scales(aug)
    single = _view(scales[0], ratios[0] if len(ratios) == 1 else 1.0, keep_ratio) if resizes else None
    views = [_view(scale, ratio, keep_ratio) or dict(type='Resize', scale_factor=1.0, keep_ratio=keep_ratio)
             for scale in scales for ratio in (ratios if len(ratios) > 1 else TTA_RATIOS)]
    directions = aug.get('flip_direction', 'horizontal')
    directions = [directions] if isinstance(directions, str) else directions
    flips = [dict(type='RandomFlip', prob=0., direction=directions[0]),
             *(dict(type='RandomFlip', prob=1., direction=direction) for direction in directions)]
    prepared.tta = [*before, dict(type='TestTimeAug', transforms=[
        *([views] if resizes else []), *([step] for step in inside), flips, *([step] for step in loading), [pack]])]
    return [*before, *([single] if single else []), *inside, *loading, pack], prepared


def _scales(aug: Mapping) -> tuple[list[tuple[int, int] | None], list[float]]:
    """Return the scales (width, height) and the ratios by which each is taken."""
    scale, ratios = aug.get('img_scale'), aug.get('img_ratios')
    scales = [None] if scale is None else (
        [tuple(one) for one in scale] if isinstance(scale[0], Sequence) else [tuple(scale)])
    ratios = [1.0] if ratios is None else list(ratios) if isinstance(ratios, Sequence) else [ratios]
    return scales, ratios


def _view(scale: tuple[int, int] | None, ratio: float, keep_ratio: bool) -> dict | None:
    """Return the resizing of one view; None where the image keeps its size."""
    if scale is None:
        return None if ratio == 1 else dict(type='Resize', scale_factor=ratio, keep_ratio=keep_ratio)
    return dict(type='Resize', scale=tuple(int(side * ratio) for side in scale), keep_ratio=keep_ratio)
