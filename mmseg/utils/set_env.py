"""Make every name of this library known at once, for those who look names up without a config."""
from __future__ import annotations

import warnings
from datetime import datetime


def register_all_modules(init_default_scope: bool = True) -> None:
    """Import every module that registers something.

    Args:
        init_default_scope: make `mmseg` the scope in which names without one are looked up, with a warning where
            another scope was in force.
    """
    from mmengine.registry import DefaultScope

    import mmseg.registry as registries
    for registry in vars(registries).values():
        if isinstance(registry, registries.Registry):
            registry.import_everything()
    if not init_default_scope:
        return
    current = DefaultScope.get_current_instance()
    if current is not None and current.scope_name == 'mmseg':
        return
    if current is not None:
        warnings.warn(f'the default scope was {current.scope_name!r} and is now \'mmseg\': give '
                      'init_default_scope=False to keep it', stacklevel=2)
    DefaultScope.get_instance(f'mmseg-{datetime.now()}', scope_name='mmseg')
