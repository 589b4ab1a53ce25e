"""Find a config by path or by name, and read it; errors say which file, which line and what is near."""
from __future__ import annotations

import difflib
import functools
import linecache
import os
import re
import traceback
import warnings
from importlib.util import find_spec
from pathlib import Path

from mmseg.utils.errors import ConfigError
from mmseg.utils.model_zoo import successors
from mmseg.utils.old_config import OLD_KEYS, is_old, losses, translate_file


def configs_folder() -> Path:
    """Return the folder of the published configs: the checkout's, or the copy that an installed package carries."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package.parent / 'configs', package / '.mim' / 'configs'):
        if (folder / '_base_').is_dir():
            return folder
    raise ConfigError(f'no folder of configs beside or inside {package}: give the path of a config file instead of '
                      'its name, or install mmseg again')


def known_configs() -> dict[str, Path]:
    """Map `method/name` to the file of each published config."""
    folder = configs_folder()
    return {f'{file.parent.name}/{file.stem}': file
            for file in sorted(folder.glob('*/*.py')) if file.parent.name != '_base_'}


def _words(name: str) -> frozenset[str]:
    """The words of a config's name that 0.x and 1.x share, whatever their order: no batch size, no learning rate."""
    words = re.split(r'[_-]', re.sub(r'_lr\d+e-\d+', '', name.replace('fp16', 'amp')))
    return frozenset(word for word in words if not re.fullmatch(r'\d{1,2}xb?\d{1,2}|lr[\d.]+', word))


def find_config(name: str | os.PathLike) -> Path:
    """Return the file that `name` means.

    Args:
        name: a path, with or without `.py`; or the name of a published config, alone (`fcn_r50-d8_…`), with its folder
            (`fcn/fcn_r50-d8_…`) or its package (`mmseg::fcn/fcn_r50-d8_…`); or the name that it had in 0.x.

    Raises:
        ConfigError: there is no such file; the message names the nearest.
    """
    for path in (Path(name), Path(f'{name}.py')):
        if path.is_file():
            return path
    key = re.sub(r'^(mmseg::)?(\./)?(configs/)?', '', Path(name).as_posix())
    key = re.sub(r'\.py$', '', key)
    known = known_configs()
    found = [path for title, path in known.items() if f'/{title}'.endswith(f'/{key}')]
    if not found:
        stem = key.rpartition('/')[2]
        words = _words(stem)
        found = [path for title, path in known.items() if _words(title.partition('/')[2]) == words]
        successor = successors(configs_folder()).get(stem)
        if len(found) != 1 and successor in known:
            found = [known[successor]]
    if len(found) == 1:
        return found[0]
    raise ConfigError(f'no config {str(name)!r}: {_hint(Path(name), key, found, known)}')


def _hint(path: Path, key: str, found: list[Path], known: dict[str, Path]) -> str:
    if found:
        return 'it could mean ' + ' or '.join(sorted(file.stem for file in found))
    here = {str(file): file.stem for file in path.parent.glob('*.py')} if path.parent.is_dir() else {}
    names = {**here, **{title: file.stem for title, file in known.items()}}
    near = difflib.get_close_matches(key.rpartition('/')[2], set(names.values()), n=3, cutoff=0.5)
    if near:
        return 'the nearest are ' + ', '.join(title for stem in near for title, other in names.items() if other == stem)
    return f'give a path or one of the {len(known)} names in {configs_folder()}'


def read_config(config, cfg_options: dict | None = None):
    """Read a config from a path, a name (see :func:`find_config`) or a `Config`, and set `cfg_options` in it.

    One of 0.x is translated (see :mod:`mmseg.utils.old_config`); options may have keys of 0.x too.

    Args:
        cfg_options: values by dotted key, such as `{'model.backbone.depth': 18}`.

    Raises:
        ConfigError: no such config, an error in one of its files (which, and where), or a key that cannot be set.
    """
    from mmengine.config import Config
    if isinstance(config, (str, os.PathLike)):
        cfg = parse_config(find_config(config))
    elif isinstance(config, Config):
        cfg = config
    else:
        raise TypeError(f'config must be a path, the name of a config or a Config, found {type(config).__name__}')
    of_0x = {key: value for key, value in (cfg_options or {}).items() if key.partition('.')[0] in OLD_KEYS}
    cfg = _in_words_of_1x(_with_options(cfg, of_0x), of_0x)
    return _with_options(cfg, {key: value for key, value in (cfg_options or {}).items() if key not in of_0x})


def _with_options(cfg, options: dict):
    try:
        cfg.merge_from_dict(options)
    except (KeyError, TypeError) as error:
        raise ConfigError(f'{cfg.filename}: cannot set {options}: {error}') from error
    return cfg


def _in_words_of_1x(cfg, options: dict):
    """Translate a config of 0.x, with a notice; one of 1.x is returned as it is."""
    from mmengine.config import Config
    if not is_old(cfg):
        return cfg
    name = cfg.filename or 'a config'
    translated = translate_file(cfg.to_dict(), cfg.filename, options)
    warnings.warn('. '.join([f'{name} is a config of 0.x, translated as it is read: `mmseg migrate-config {name} '
                             'NEW.py` writes it as one of 1.x', *losses(cfg)]), stacklevel=4)
    return Config(translated, filename=cfg.filename)


def require_model(cfg) -> None:
    """Check that a config describes a model.

    Raises:
        ConfigError: it does not.
    """
    if not isinstance(cfg.get('model'), dict) or 'type' not in cfg.model:
        raise ConfigError(f'{cfg.filename or "the config"} is not the config of a model: it has no '
                          "model=dict(type='EncoderDecoder', …)")


def take_package_names() -> None:
    """Let mmengine's `Config.fromfile` take `mmseg::method/name`, as its `_base_` and its `hub.get_config` do."""
    from mmengine.config import Config
    read_file = Config.fromfile
    if hasattr(read_file, 'takes_package_names'):
        return

    @functools.wraps(read_file)
    def fromfile(filename, *args, **kwargs):
        return read_file(find_config(filename) if str(filename).startswith('mmseg::') else filename, *args, **kwargs)

    fromfile.takes_package_names = True
    Config.fromfile = staticmethod(fromfile)


def parse_config(path: Path):
    """Read a config file as it stands.

    Raises:
        ConfigError: it is none; the message says which file, which line and why.
    """
    from mmengine.config import Config
    if path.suffix not in ('.py', '.json', '.yaml', '.yml'):
        raise ConfigError(f'{path} is not a config: expected a .py, .json or .yaml file')
    try:
        cfg = Config.fromfile(str(path), import_custom_modules=False)
        _import_custom_modules(cfg.get('custom_imports') or {})
        return cfg
    except Exception as error:
        message = _explain(error, path)
        if message is None:
            raise
        raise ConfigError(message) from error


def _import_custom_modules(custom_imports: dict) -> None:
    """Import the modules that a config asks for, but for absent packages whose parts we have, as `mmpretrain`."""
    from mmengine.utils import import_modules_from_strings

    from mmseg.registry import ABSORBED_SCOPES
    modules = custom_imports.get('imports') or []
    packages = {module: module.partition('.')[0] for module in ([modules] if isinstance(modules, str) else modules)}
    needed = [module for module, package in packages.items()
              if package not in ABSORBED_SCOPES or find_spec(package) is not None]
    import_modules_from_strings(needed, custom_imports.get('allow_failed_imports', False))


def _explain(error: Exception, path: Path) -> str | None:
    """Say in which file and line reading `path` failed; None where the fault lies outside of the config files."""
    if path.suffix != '.py' and isinstance(error, (ValueError, AttributeError)) or type(error).__module__[:4] == 'yaml':
        return f'{path}: cannot be read as {path.suffix[1:].upper()}: {error}'
    # Every step of mmengine that reads a file calls it `filename`; the last that exists is the base at fault.
    frames = list(traceback.walk_tb(error.__traceback__))
    files = [str(path), *(frame.f_locals.get('filename') for frame, _ in frames)]
    files = [file for file in files if isinstance(file, str) and os.path.isfile(file)]
    if isinstance(error, SyntaxError):
        origin = error if error.lineno else error.__context__
        line = getattr(origin, 'lineno', None)
        return _at(files[-1], line, f'syntax error: {getattr(origin, "msg", error)}')
    inside = [(frame.f_code.co_filename, line) for frame, line in frames if frame.f_code.co_filename in files]
    if inside:
        return _at(*inside[-1], f'{type(error).__name__}: {error}')
    if isinstance(error, FileNotFoundError):
        return f'{files[-1]}: a base that it names does not exist: {error.filename or error}{_successor_of(error)}'
    if isinstance(error, (KeyError, ImportError)):
        return f'{files[-1]}: {error.args[0] if error.args else error}'
    return None


def _successor_of(error: FileNotFoundError) -> str:
    """Say which config has taken the place of a base of 0.x that is not there."""
    missing = re.search(r'[\w./-]+\.py', str(error.filename or error))
    try:
        found = find_config(Path(missing[0]).name) if missing else None
    except ConfigError:
        found = None
    return f'; its successor is {found}' if found else ''


def _at(file: str, line: int | None, what: str) -> str:
    text = linecache.getline(file, line).strip() if line else ''
    return f'{file}, line {line}: {what}\n    {text}' if text else f'{file}: {what}'
