"""Settings by name that do not switch off the settings by kind of parameter."""
from __future__ import annotations

from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn

from mmseg.registry import OPTIM_WRAPPER_CONSTRUCTORS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class ForceDefaultOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """mmengine's constructor, with one more option in `paramwise_cfg`.

    There, a parameter that matches one of `custom_keys` keeps only what that key says. With
    `force_default_settings=True` the settings by kind (`bias_decay_mult`, `norm_decay_mult`, …) hold for it as well,
    and win where both speak: a bias in a backbone with its own learning rate still decays as biases do.
    """

    def add_params(self, params: list[dict], module: nn.Module, prefix: str = '',
                   is_dcn_module: int | float | None = None) -> None:
        """Append one group for each parameter of a module and its children."""
        options = dict(self.paramwise_cfg)
        forced = options.pop('force_default_settings', False)
        by_name = self._groups(options, module, prefix, is_dcn_module)
        if forced:
            options.pop('custom_keys', None)
            by_kind = self._groups(options, module, prefix, is_dcn_module)
            by_name = [{**named, **general} for named, general in zip(by_name, by_kind)]
        params.extend(by_name)

    def _groups(self, options: dict, *module) -> list[dict]:
        constructor = DefaultOptimWrapperConstructor(
            {**self.optim_wrapper_cfg, 'optimizer': self.optimizer_cfg}, options)
        groups = []
        constructor.add_params(groups, *module)
        return groups
