"""Make a checkpoint of a training ready to be published.

    mmseg publish-model work_dirs/net/iter_40000.pth net.pth            writes net-1a2b3c4d.pth
    mmseg publish-model work_dirs/net/iter_40000.pth net.safetensors

Kept are the weights, on the CPU, and the names and colours of the classes; the optimiser and all else of the training
is left out. The hexadecimal digits are the beginning of the SHA-256 of the content, which downloads are checked by.
"""
from __future__ import annotations

import argparse
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from mmseg.cli import common
from mmseg.utils.errors import InputError

KEPT_META = ('dataset_meta', 'CLASSES', 'PALETTE', 'mmseg_version', 'config', 'epoch', 'iter')
HASH_DIGITS = 8
SUFFIXES = ('.pth', '.safetensors')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('in_file', metavar='IN', help='the checkpoint')
    parser.add_argument('out_file', metavar='OUT', help='file to write; a hash is put before its suffix')
    parser.add_argument('--safetensors', action='store_true', help='write .safetensors, which runs no code anywhere')


def run(args: argparse.Namespace) -> None:
    source, target = common.existing_file(args.in_file), Path(args.out_file)
    if args.safetensors:
        target = target.with_suffix('.safetensors')
    elif target.suffix not in SUFFIXES:
        target = target.with_name(f'{target.name}.pth')
    common.writable_folder(target.parent)
    path = publish(source, target)
    print(f'{path}: {path.stat().st_size / 2**20:.1f} MiB')


def publish(source: str | os.PathLike, target: Path) -> Path:
    """Write what is worth publishing of a checkpoint; returns the file, which has a hash in its name."""
    from mmseg.utils.atomic import replace_file
    from mmseg.utils.checkpoint import read_checkpoint
    checkpoint = read_checkpoint(source)
    weights = {key: value.detach().cpu().clone().contiguous() for key, value in weights_by_name(checkpoint, source)}
    meta = checkpoint.get('meta')
    meta = {key: meta[key] for key in KEPT_META if key in meta} if isinstance(meta, Mapping) else {}
    write = _write_safetensors if target.suffix == '.safetensors' else _write_pickle
    unnamed = target.with_name(f'.{target.stem}.unnamed{target.suffix}')
    try:
        replace_file(unnamed, lambda file: write(weights, meta, file))
        with open(unnamed, 'rb') as file:
            digest = hashlib.sha256()
            while block := file.read(1 << 20):
                digest.update(block)
        path = target.with_name(f'{target.stem}-{digest.hexdigest()[:HASH_DIGITS]}{target.suffix}')
        os.replace(unnamed, path)
    finally:
        unnamed.unlink(missing_ok=True)
    return path


def weights_by_name(checkpoint: Mapping, name: str | os.PathLike):
    """Yield keys and tensors of a checkpoint.

    Raises:
        InputError: it holds something else.
    """
    import torch

    from mmseg.utils.checkpoint import weights_of
    for key, value in weights_of(checkpoint).items():
        if not torch.is_tensor(value):
            raise InputError(f'{name} is no checkpoint of a model: {key!r} is a {type(value).__name__}, not a tensor')
        yield key, value


def _write_pickle(weights: dict, meta: dict, file) -> None:
    import torch
    torch.save(dict(state_dict=weights, meta=meta), file)


def _write_safetensors(weights: dict, meta: dict, file) -> None:
    try:
        from safetensors.torch import save
    except ImportError:
        raise InputError('OUT.safetensors needs the package safetensors: pip install safetensors') from None
    plain = {key: value for key, value in meta.items() if key != 'config'}
    file.write(save(weights, metadata=dict(format='pt', meta=json.dumps(plain, default=list))))
