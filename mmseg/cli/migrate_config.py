"""Write a config of 0.x as one of 1.x.

    mmseg migrate-config old/pspnet_r50-d8_512x1024_40k_cityscapes.py new.py

NEW holds everything that OLD inherits, in the order of the work. Commands also take OLD as it is, and translate it each
time that they read it. A part without a counterpart in 1.x is named, and nothing is written.
"""
from __future__ import annotations

import argparse
from pathlib import Path

from mmseg.cli import common
from mmseg.utils.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('old', metavar='OLD', help='a config file of 0.x')
    parser.add_argument('new', metavar='NEW', help='the file to write (.py)')


def run(args: argparse.Namespace) -> None:
    from mmseg.utils.atomic import write_text
    from mmseg.utils.config import parse_config
    from mmseg.utils.old_config import as_text, is_old, losses, translate_file
    old, new = Path(common.existing_file(args.old)), Path(args.new)
    cfg = parse_config(old)
    if not is_old(cfg):
        raise InputError(f'{old} is no config of 0.x: it has none of its keys (data, optimizer, lr_config, runner …)')
    if new.suffix != '.py' or new.resolve() == old.resolve():
        raise InputError(f'NEW is {new}: expected another .py file than OLD')
    translated = translate_file(cfg.to_dict(), str(old), {})
    common.writable_folder(new.parent)
    write_text(as_text(translated, f'Translated from {old.name}, a config of 0.x'), new)
    print('\n'.join([f'{new}: the config in the words of 1.x', *losses(cfg)]))
