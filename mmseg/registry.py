"""The registries: one line each, with the packages whose names they know.

A look-up imports only the module that defines the name (see :func:`mmseg.utils.lazy.lazy_exports`), so `import mmseg`
and building one network stay fast.
"""
from __future__ import annotations

import difflib
from importlib import import_module

from mmengine import registry as mmengine_registry

# Packages whose parts `mmseg` brings along: `mmdet.X` in a config means our X wherever we have one.
ABSORBED_SCOPES = ('mmdet', 'mmpretrain', 'mmcls')
# Names that mean something else there than here: under which name we have what they mean there.
NAMES_ELSEWHERE = {
    'mmdet.CrossEntropyLoss': 'MaskCrossEntropyLoss',
    'mmdet.DiceLoss': 'MaskDiceLoss',
    'mmdet.FocalLoss': 'MaskFocalLoss',
}


class UnknownTypeError(KeyError):
    """A `type` that no registry knows; its message names the nearest known ones."""

    def __str__(self) -> str:
        return self.args[0]


class Registry(mmengine_registry.Registry):
    """A registry of the scope `mmseg` that imports a module when one of its names is first asked for.

    Args:
        name: what it holds, for messages.
        parent: mmengine's registry of the same kind, asked next.
        packages: packages whose `__all__` lists what can be registered here.
    """

    def __init__(self, name: str, parent: mmengine_registry.Registry, packages: tuple[str, ...] = ()):
        super().__init__(name, parent=parent, scope='mmseg')
        self._packages = packages

    def import_from_location(self) -> None:
        """Nothing is imported wholesale: :meth:`get` imports the one module that it needs."""

    def known_names(self) -> list[str]:
        """Every name that can be built here: registered, published by a package not yet imported, or mmengine's."""
        names = {name for package in self._packages for name in import_module(package).__all__}
        names.update(self._module_dict, self.parent._module_dict)
        return sorted(names)

    def import_everything(self) -> None:
        """Import every module that may register something here."""
        for package in map(import_module, self._packages):
            for name in package.__all__:
                getattr(package, name)

    def _import_definition(self, name: str) -> bool:
        for package in self._packages:
            if name in import_module(package).__all__:
                getattr(import_module(package), name)
                break
        return name in self._module_dict

    def get(self, key: str) -> type:
        """Return the class registered as `key`.

        Raises:
            UnknownTypeError: nothing of that name is known; the message names the nearest.
        """
        scope, name = self.split_scope_key(key)
        name = NAMES_ELSEWHERE.get(key, name)
        ours = scope in (None, self.scope, *ABSORBED_SCOPES)
        if ours and (name in self._module_dict or self._import_definition(name)):
            return self._module_dict[name]
        try:
            found = super().get(key)
        except RuntimeError:  # mmengine tried the key as a dotted path of an object, the last resort
            found = None
        if found is None:
            near = difflib.get_close_matches(name, self.known_names(), n=3, cutoff=0.5)
            hint = f'did you mean {" or ".join(near)}?' if near else f'known are {", ".join(self.known_names()[:8])} …'
            raise UnknownTypeError(f'{key!r} is not a known {self.name}: {hint} A class of your own needs '
                                   '@register_module() and its module in `custom_imports` of the config.')
        return found

    def __contains__(self, key: str) -> bool:
        try:
            return self.get(key) is not None
        except UnknownTypeError:
            return False


_MODELS = ('mmseg.models', *(f'mmseg.models.{part}' for part in (
    'backbones', 'necks', 'decode_heads', 'losses', 'segmentors', 'text_encoder', 'assigners', 'utils')))

RUNNERS = Registry('runner', mmengine_registry.RUNNERS, ('mmseg.engine',))
RUNNER_CONSTRUCTORS = Registry('runner constructor', mmengine_registry.RUNNER_CONSTRUCTORS)
LOOPS = Registry('loop', mmengine_registry.LOOPS, ('mmseg.engine',))
HOOKS = Registry('hook', mmengine_registry.HOOKS, ('mmseg.engine',))
STRATEGIES = Registry('strategy', mmengine_registry.STRATEGIES, ('mmseg.engine',))
LOG_PROCESSORS = Registry('log processor', mmengine_registry.LOG_PROCESSORS, ('mmseg.engine',))
OPTIMIZERS = Registry('optimizer', mmengine_registry.OPTIMIZERS, ('mmseg.engine',))
OPTIM_WRAPPERS = Registry('optimizer wrapper', mmengine_registry.OPTIM_WRAPPERS, ('mmseg.engine',))
OPTIM_WRAPPER_CONSTRUCTORS = Registry(
    'optimizer wrapper constructor', mmengine_registry.OPTIM_WRAPPER_CONSTRUCTORS, ('mmseg.engine',))
PARAM_SCHEDULERS = Registry('parameter scheduler', mmengine_registry.PARAM_SCHEDULERS, ('mmseg.engine',))

DATASETS = Registry('data set', mmengine_registry.DATASETS, ('mmseg.datasets',))
DATA_SAMPLERS = Registry('data sampler', mmengine_registry.DATA_SAMPLERS, ('mmseg.engine',))
TRANSFORMS = Registry('transform', mmengine_registry.TRANSFORMS, ('mmseg.datasets.transforms', 'mmcv.transforms'))

MODELS = Registry('model', mmengine_registry.MODELS, _MODELS)
MODEL_WRAPPERS = Registry('model wrapper', mmengine_registry.MODEL_WRAPPERS, ('mmseg.engine',))
WEIGHT_INITIALIZERS = Registry('weight initializer', mmengine_registry.WEIGHT_INITIALIZERS)
TASK_UTILS = Registry('task util', mmengine_registry.TASK_UTILS, ('mmseg.models.assigners', 'mmseg.structures'))

METRICS = Registry('metric', mmengine_registry.METRICS, ('mmseg.evaluation',))
EVALUATOR = Registry('evaluator', mmengine_registry.EVALUATOR, ('mmseg.evaluation',))
VISUALIZERS = Registry('visualizer', mmengine_registry.VISUALIZERS, ('mmseg.visualization',))
VISBACKENDS = Registry('visualizer backend', mmengine_registry.VISBACKENDS, ('mmseg.visualization',))
INFERENCERS = Registry('inferencer', mmengine_registry.INFERENCERS, ('mmseg.apis',))
