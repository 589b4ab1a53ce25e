"""What `tools/mmseg2torchserve.py` and `tools/torchserve/test_torchserve.py` do."""
from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from mmseg.cli import HelpFormatter, common, guard
from mmseg.utils.errors import InputError


def main_pack(description: str, argv: Sequence[str] | None = None) -> int:
    """Write a model archive; returns the exit status."""
    parser = argparse.ArgumentParser(description=description, formatter_class=HelpFormatter)
    common.add_config(parser)
    parser.add_argument('checkpoint', metavar='CHECKPOINT', help='trained weights')
    parser.add_argument('--output-folder', required=True, metavar='DIR', help='where to write NAME.mar')
    parser.add_argument('--model-name', metavar='NAME', help='of the model in the server (that of CHECKPOINT)')
    parser.add_argument('--model-version', default='1.0', metavar='V', help='of the model in the server (1.0)')
    parser.add_argument('-f', '--force', action='store_true', help='replace an archive of this name')
    args = parser.parse_args(argv)
    return guard(_pack, args, name=parser.prog)


def _pack(args: argparse.Namespace) -> None:
    from mmseg.serving.torchserve import write_archive
    checkpoint = common.existing_file(args.checkpoint)
    folder = common.writable_folder(args.output_folder)
    path = write_archive(args.config, checkpoint, folder, args.model_name or Path(checkpoint).stem,
                         args.model_version, args.force)
    print(f'{path}: {path.stat().st_size / 2**20:.1f} MiB')


def main_compare(description: str, argv: Sequence[str] | None = None) -> int:
    """Compare what a server makes of an image with what PyTorch does here; returns the exit status."""
    parser = argparse.ArgumentParser(description=description, formatter_class=HelpFormatter)
    parser.add_argument('img', metavar='IMG', help='the picture')
    common.add_config(parser)
    parser.add_argument('checkpoint', metavar='CHECKPOINT', help='trained weights')
    parser.add_argument('model_name', metavar='NAME', help='of the model in the server')
    parser.add_argument('--inference-addr', default='127.0.0.1:8080', metavar='HOST:PORT',
                        help='of the server (127.0.0.1:8080)')
    parser.add_argument('--result-image', metavar='FILE', help='where to write the ids that the server sent, as PNG')
    parser.add_argument('--device', help='cpu, cuda, cuda:1 … (a GPU if there is one)')
    common.add_cfg_options(parser)
    args = parser.parse_args(argv)
    return guard(_compare, args, name=parser.prog)


def _compare(args: argparse.Namespace) -> None:
    from mmseg.apis import inference_model
    from mmseg.serving.torchserve import ask_server
    from mmseg.visualization.files import write_image
    content = Path(common.existing_file(args.img)).read_bytes()
    served = ask_server(args.inference_addr, args.model_name, content)
    if args.result_image:
        write_image(args.result_image, served)
    here = inference_model(common.model_of(args), args.img).pred_sem_seg.data[0].cpu().numpy()
    if served.shape != here.shape:
        raise InputError(f'the server sent ids of {served.shape}, PyTorch gives {here.shape}')
    if (served != here).any():
        raise InputError(f'{(served != here).mean():.2%} of the pixels differ from what PyTorch gives here: does the '
                         f'server run {args.checkpoint}?')
    print(f'the server and PyTorch agree in all {here.size} pixels')
