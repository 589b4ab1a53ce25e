"""Learning rates that fall from layer to layer towards the input, for fine-tuning large pre-trained backbones.

BEiT (https://arxiv.org/abs/2106.08254) and MAE (https://arxiv.org/abs/2111.06377) number the layers of a transformer,
ConvNeXt (https://arxiv.org/abs/2201.03545) those of its stages, three blocks of the third stage a layer, or the stages.
"""
from __future__ import annotations

import json
import logging
import warnings

from mmengine.dist import is_main_process
from mmengine.logging import print_log
from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn

from mmseg.registry import OPTIM_WRAPPER_CONSTRUCTORS

INPUT_WEIGHTS = ('backbone.cls_token', 'backbone.mask_token', 'backbone.pos_embed')


def get_layer_id_for_convnext(var_name: str, max_layer_id: int) -> int:
    """Return the layer of a ConvNeXt's parameter, from 0 at the input to `max_layer_id + 1` for what follows it."""
    if var_name in INPUT_WEIGHTS:
        return 0
    part, stage, block = _place(var_name)
    if part == 'downsample_layers':
        return (0, 2, 3, max_layer_id)[stage]
    if part == 'stages':
        return (1, 2, 3 + block // 3, max_layer_id)[stage]
    return max_layer_id + 1


def get_stage_id_for_convnext(var_name: str, max_stage_id: int) -> int:
    """Return the stage of a ConvNeXt's parameter, from 0 at the input to `max_stage_id - 1` for what follows it."""
    part, stage, _ = _place(var_name)
    if var_name in INPUT_WEIGHTS or part == 'downsample_layers':
        return 0
    return stage + 1 if part == 'stages' else max_stage_id - 1


def get_layer_id_for_vit(var_name: str, max_layer_id: int) -> int:
    """Return the layer of a transformer's parameter, from 0 at the input to `max_layer_id - 1` for what follows it."""
    part, layer, _ = _place(var_name)
    if var_name in INPUT_WEIGHTS or part == 'patch_embed':
        return 0
    return layer + 1 if part == 'layers' else max_layer_id - 1


def _place(var_name: str) -> tuple[str, int, int]:
    """Split `backbone.stages.2.5.weight` into part, first and second number; what has no number gets 0."""
    root, part, *numbers = [*var_name.split('.'), '', '', ''][:4]
    first, second = (int(number) if number.isdigit() else 0 for number in numbers)
    return (part if root == 'backbone' else ''), first, second


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LearningRateDecayOptimizerConstructor(DefaultOptimWrapperConstructor):
    """Multiply the learning rate by `decay_rate` for each layer, or stage, between a parameter and the head.

    `paramwise_cfg` holds `decay_rate`, `num_layers` of the backbone and `decay_type`: `'layer_wise'` (the default;
    BEiT, MAE and ConvNeXt) or `'stage_wise'` (ConvNeXt). Vectors, such as biases and weights of norms, do not decay.
    """

    def add_params(self, params: list[dict], module: nn.Module, **kwargs) -> None:
        """Append one group for each layer and each of its two weight decays.

        Raises:
            NotImplementedError: the backbone has no numbering of the kind asked for.
        """
        depth = self.paramwise_cfg['num_layers'] + 2
        decay_rate = self.paramwise_cfg['decay_rate']
        print_log(f'Learning rates fall by {decay_rate} over {depth} layers', logger='current')
        groups: dict[str, dict] = {}
        for name, weight in module.named_parameters():
            if not weight.requires_grad:
                continue
            fixed = weight.ndim == 1 or name.endswith('.bias') or name in ('pos_embed', 'cls_token')
            layer = self._layer_of(name, module.backbone, depth)
            title = f'layer_{layer}_{"no_decay" if fixed else "decay"}'
            if title not in groups:
                scale = decay_rate**(depth - layer - 1)
                groups[title] = dict(weight_decay=0.0 if fixed else self.base_wd, params=[], param_names=[],
                                     lr_scale=scale, group_name=title, lr=scale * self.base_lr)
            groups[title]['params'].append(weight)
            groups[title]['param_names'].append(name)
        self._report(groups)
        params.extend(groups.values())

    def _layer_of(self, name: str, backbone: nn.Module, depth: int) -> int:
        kind, decay_type = type(backbone).__name__, self.paramwise_cfg.get('decay_type', 'layer_wise')
        if decay_type == 'layer_wise' and 'ConvNeXt' in kind:
            return get_layer_id_for_convnext(name, self.paramwise_cfg['num_layers'])
        if decay_type == 'layer_wise' and ('BEiT' in kind or 'MAE' in kind):
            return get_layer_id_for_vit(name, depth)
        if decay_type == 'stage_wise' and 'ConvNeXt' in kind:
            return get_stage_id_for_convnext(name, depth)
        raise NotImplementedError(f'decay_type={decay_type!r} is not defined for the backbone {kind}: layer_wise is '
                                  'for BEiT, MAE and ConvNeXt, stage_wise for ConvNeXt')

    @staticmethod
    def _report(groups: dict[str, dict]) -> None:
        if is_main_process():
            shown = {title: {key: value for key, value in group.items() if key not in ('params', 'group_name')}
                     for title, group in groups.items()}
            print_log(f'Parameter groups: {json.dumps(shown, indent=2)}', logger='current', level=logging.DEBUG)


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayOptimizerConstructor(LearningRateDecayOptimizerConstructor):
    """The older name of layer-wise decay, with `layer_decay_rate` for `decay_rate`."""

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict):
        warnings.warn('LayerDecayOptimizerConstructor is now LearningRateDecayOptimizerConstructor with '
                      'paramwise_cfg.decay_type="layer_wise" and decay_rate for layer_decay_rate', DeprecationWarning,
                      stacklevel=2)
        options = dict(paramwise_cfg, decay_type='layer_wise')
        options['decay_rate'] = options.pop('layer_decay_rate', options.get('decay_rate'))
        super().__init__(optim_wrapper_cfg, options)
