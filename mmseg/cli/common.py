"""Arguments that several commands share, and the config that comes of them."""
from __future__ import annotations

import argparse
import difflib
import os
from collections.abc import Sequence
from pathlib import Path

from mmseg.utils.errors import InputError

LAUNCHERS = ('none', 'pytorch', 'slurm', 'mpi')


def add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('config', metavar='CONFIG', help='a config file, or the name of a published config')


def add_cfg_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--cfg-options', '--options', nargs='+', action='extend', default=[], metavar='KEY=VALUE',
                        help='set values of the config, e.g. model.backbone.depth=18 data.size=(512,512)')


def add_picture_and_model(parser: argparse.ArgumentParser) -> None:
    """Add a picture, the model that looks at it, and how its result covers the picture."""
    parser.add_argument('img', metavar='IMG', help='the picture')
    add_config(parser)
    parser.add_argument('checkpoint', metavar='CHECKPOINT', help='trained weights')
    parser.add_argument('--opacity', type=float, default=0.5, metavar='0…1', help='how far it hides the picture (0.5)')
    parser.add_argument('--device', help='cpu, cuda, cuda:1 … (a GPU if there is one)')
    add_cfg_options(parser)


def add_folders(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--work-dir', metavar='DIR', help='folder of logs and checkpoints (work_dirs/CONFIG)')
    add_data_root(parser)


def add_data_root(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--data-root', metavar='DIR', help='where the data lie, instead of the data_root in CONFIG')


def add_launcher(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--launcher', choices=LAUNCHERS, default='none', help='what started the processes')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def parse_options(texts: Sequence[str]) -> dict:
    """Turn `['a.b=1', 'c=[x,y]']` into `{'a.b': 1, 'c': ['x', 'y']}`, as mmengine reads such values."""
    from mmengine.config import DictAction
    for text in texts:
        if '=' not in text:
            raise InputError(f'{text!r} is not of the form KEY=VALUE, such as model.backbone.depth=18')
    parser = argparse.ArgumentParser()
    parser.add_argument('--set', nargs='+', action=DictAction, default={})
    return parser.parse_args(['--set', *texts]).set if texts else {}


def run_config(args: argparse.Namespace):
    """Read the config of a training or evaluation; put `--cfg-options`, `--work-dir`, `--data-root` and more in it."""
    from mmseg.utils.config import find_config, read_config, require_model
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = read_config(args.config, parse_options(args.cfg_options))
    require_model(cfg)
    cfg.launcher = args.launcher
    if args.work_dir or not cfg.get('work_dir'):
        cfg.work_dir = args.work_dir or os.path.join('work_dirs', find_config(args.config).stem)
    writable_folder(cfg.work_dir)
    _move_all_data(cfg, args.data_root)
    return cfg


def data_config(args: argparse.Namespace):
    """Read a config of which only the data are used, with `--cfg-options` and `--data-root` put in it."""
    from mmengine.registry import init_default_scope

    from mmseg.utils.config import read_config
    cfg = read_config(args.config, parse_options(args.cfg_options))
    init_default_scope(cfg.get('default_scope') or 'mmseg')
    _move_all_data(cfg, args.data_root)
    return cfg


def _move_all_data(cfg, root: str | None) -> None:
    for name in ('train', 'val', 'test') if root else ():
        _move_data(cfg.get(f'{name}_dataloader'), cfg.get('data_root'), root)


def _move_data(node, old: str | None, new: str) -> None:
    """Replace `data_root` in a config of data sets, nested as they may be, where it is the config's own."""
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    if isinstance(node, dict) and 'data_root' in node and old in (None, node['data_root']):
        node['data_root'] = new
    for child in children:
        _move_data(child, old, new)


def existing_file(path: str) -> str:
    """Return a path after checking that the file is there; addresses (`https://…`) pass."""
    if '://' not in path and not os.path.isfile(path):
        raise InputError(f'no file {path!r}: {_nearest_file(Path(path))}')
    return path


def _nearest_file(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f'its folder {str(folder)!r} does not exist either'
    names = sorted(file.name for file in folder.iterdir() if file.suffix == path.suffix)
    near = difflib.get_close_matches(path.name, names, n=3) or names[-3:]
    return 'its folder holds ' + (', '.join(near) if near else f'no {path.suffix or "such"} file')


def writable_folder(folder: str | os.PathLike) -> Path:
    """Make a folder and check that files can be written there.

    Raises:
        InputError: they cannot.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f'.probe-{os.getpid()}'
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(f'cannot write to the folder {folder}: {error.strerror}; choose another') from error
    return folder


def model_of(args: argparse.Namespace):
    """Build the model that `args` name by `config`, `checkpoint`, `device` and `cfg_options`, ready to predict."""
    from mmseg.apis.inference import choose_device, load_model
    from mmseg.utils.config import read_config
    checkpoint = existing_file(args.checkpoint)
    return load_model(read_config(args.config, parse_options(args.cfg_options)), checkpoint, choose_device(args.device))


def build_runner(cfg):
    """Build the runner of a config: `runner_type`, or the usual one."""
    from mmseg.registry import RUNNERS
    return RUNNERS.build(cfg)


def height_and_width(sides: Sequence[int]) -> tuple[int, int]:
    """Turn one or two sides into height and width."""
    if len(sides) > 2 or min(sides) < 1:
        found = ' '.join(map(str, sides))
        raise InputError(f'--shape takes a height and a width, or one side of a square, found {found}')
    return sides[0], sides[-1]


def bands_of(cfg) -> int:
    """Return how many bands the images of a config have."""
    mean = (cfg.model.get('data_preprocessor') or {}).get('mean')
    return len(mean) if mean else cfg.model.get('backbone', {}).get('in_channels', 3)
