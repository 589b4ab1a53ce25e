"""Which errors are the user's to mend, and the sentence that says how."""
from __future__ import annotations

import difflib
import inspect
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
    if isinstance(error, TypeError):
        return _explain_unknown_argument(error)
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


def _explain_unknown_argument(error: TypeError) -> str | None:
    """Name the arguments of a class to which a config gives one that it does not know, or too few."""
    frame = list(traceback.walk_tb(error.__traceback__))[-1][0]
    cls = frame.f_locals.get('obj_cls')
    if cls is None or frame.f_code.co_name != 'build_from_cfg':
        return None
    names = [name for name in inspect.signature(cls).parameters if name not in ('args', 'kwargs')]
    unknown = [word for word in str(error).split("'")[1::2] if word not in names]
    near = difflib.get_close_matches(unknown[0], names, n=1) if unknown else []
    hint = f'did you mean {near[0]}?' if near else f'it takes {", ".join(names)}'
    return f'config of {cls.__name__}: {str(error).split("__init__() ")[-1]}; {hint}'
