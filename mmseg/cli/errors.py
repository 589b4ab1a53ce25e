"""Which errors are the user's to mend, and the sentence that says how."""
from __future__ import annotations

import difflib
import inspect
import re
import sys
import traceback

from mmseg.utils.errors import InputError

ADVICE = {
    FileNotFoundError: 'give a path that exists',
    PermissionError: 'choose a place that you may use',
    IsADirectoryError: 'give a file instead of a folder',
    NotADirectoryError: 'a file stands where a folder is needed',
    FileExistsError: 'choose another name',
}


def explain_mistake(error: BaseException) -> str | None:
    """Return one clear sentence about an error that the user can mend, or None for a fault of the program."""
    if isinstance(error, OSError):
        return _explain_os_error(error)
    if type(error) in (TypeError, ValueError):
        return _explain_config_value(error)
    if isinstance(error, ModuleNotFoundError):
        return None if (error.name or '').startswith('mmseg') else str(error)
    # the registries are not imported for this: where they are not, no error comes from them
    registry = sys.modules.get('mmseg.registry')
    known = (InputError, FloatingPointError) + ((registry.UnknownTypeError,) if registry else ())
    return str(error) if isinstance(error, known) else None


def _explain_os_error(error: OSError) -> str:
    if error.filename is None:  # raised by hand, or passed on by a worker process with its traceback as the message
        return str(error).strip().splitlines()[-1].removeprefix(f'{type(error).__name__}: ')
    advice = ADVICE.get(type(error))
    return f'{error.filename}: {error.strerror}' + (f' ({advice})' if advice else '')


def _explain_config_value(error: TypeError | ValueError) -> str | None:
    """Say which class refused what its config gives it: a value, or an argument that it does not have."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    built = [frame.f_locals['obj_cls'] for frame in frames
             if frame.f_code.co_name == 'build_from_cfg' and inspect.isclass(frame.f_locals.get('obj_cls'))]
    if not built:
        return None
    complaint = re.match(r'(?:(\w+)\.)?__init__\(\) ((?:got an unexpected|missing) .+)', str(error))
    if complaint and complaint[1] in [cls.__name__ for cls in built[-1].__mro__]:
        return f'config of {built[-1].__name__}: {complaint[2]}; {_hint(complaint[2], built[-1])}'
    refused = isinstance(error, ValueError) and frames[-1].f_globals.get('__name__', '').startswith('mmseg.')
    return f'config of {built[-1].__name__}: {error}' if refused else None


def _hint(complaint: str, cls: type) -> str:
    names = {name: None for base in cls.__mro__[:-1] for name in inspect.signature(base.__init__).parameters}
    names = [name for name in names if name not in ('self', 'args', 'kwargs')]
    unknown = [word for word in complaint.split("'")[1::2] if word not in names]
    near = difflib.get_close_matches(unknown[0], names, n=1) if unknown else []
    return f'did you mean {near[0]}?' if near else f'it takes {", ".join(names)}'
