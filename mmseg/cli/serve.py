"""Answer images over HTTP: a page to drop them on, and an interface for programs.

    mmseg serve CONFIG CHECKPOINT
    curl --data-binary @street.jpg -H 'Content-Type: image/jpeg' http://127.0.0.1:8000/predict > labels.png
    curl -F a=@a.jpg -F b=@b.jpg 'http://127.0.0.1:8000/predict?output=overlay' > overlays.zip
    mmseg serve CONFIG CHECKPOINT --host 0.0.0.0 --require-token

POST /predict takes an image (JPEG, PNG, WebP) or a form with several, and gives the id of the class of each pixel as
PNG; `output=overlay` gives the picture painted, `output=probabilities` an array of NumPy. Also: /health, /classes,
/metrics. Only this machine can reach the server, unless --host says otherwise.
"""
from __future__ import annotations

import argparse
import os
import secrets
import sys
from dataclasses import fields
from pathlib import Path

from mmseg.cli import common
from mmseg.utils.errors import InputError

TOKENS_VARIABLE = 'MMSEG_SERVE_TOKENS'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    common.add_config(parser)
    parser.add_argument('checkpoint', metavar='CHECKPOINT', help='trained weights')
    parser.add_argument('--host', default='127.0.0.1', help='address to listen on (127.0.0.1: this machine only)')
    parser.add_argument('--port', type=int, default=8000, help='0 for any that is free (8000)')
    parser.add_argument('--device', help='cpu, cuda, cuda:1 … (a GPU if there is one)')
    parser.add_argument('--amp', action='store_true', help='mixed precision: float16 on a GPU, bfloat16 on a CPU')
    batches = parser.add_argument_group('batches')
    batches.add_argument('--max-batch', type=int, default=8, metavar='N', help='images that go together at most (8)')
    batches.add_argument('--max-wait', type=float, default=5, metavar='MS',
                         help='milliseconds that an image waits for others of its size on an idle server (5)')
    limits = parser.add_argument_group('limits')
    limits.add_argument('--max-megabytes', type=float, default=32, metavar='MB', help='of one request (32)')
    limits.add_argument('--max-megapixels', type=float, default=16, metavar='MP', help='of one image (16)')
    limits.add_argument('--max-images', type=int, default=16, metavar='N', help='in one request (16)')
    limits.add_argument('--max-queue', type=int, default=64, metavar='N', help='images in work at once (64)')
    limits.add_argument('--max-seconds', type=float, default=30, metavar='S', help='that a request may take (30)')
    limits.add_argument('--max-answer-megabytes', type=float, default=256, metavar='MB', help='of probabilities (256)')
    tokens = parser.add_argument_group('tokens', 'Clients send one of them: "Authorization: Bearer TOKEN". Several '
                                       f'stand in the environment variable {TOKENS_VARIABLE}, between blanks.')
    tokens.add_argument('--token-file', metavar='FILE', help='a token on each line')
    tokens.add_argument('--require-token', action='store_true', help='make one up and print it, where none is given')
    common.add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    from mmseg.serving.limits import Limits
    from mmseg.serving.server import is_loopback, listen, require_packages, run, url_of
    require_packages()
    common.existing_file(args.checkpoint)
    if args.max_batch < 1 or args.max_wait < 0:
        raise InputError(f'--max-batch is at least 1 and --max-wait at least 0, found {args.max_batch} and '
                         f'{args.max_wait:g}')
    limits = Limits(**{field.name: getattr(args, f'max_{field.name}') for field in fields(Limits)})
    tokens = find_tokens(args)
    made_up = args.require_token and not tokens
    tokens = [secrets.token_urlsafe(24)] if made_up else tokens
    with listen(args.host, args.port) as sock:
        from mmseg.apis.speed import accelerate
        from mmseg.serving.app import make_app
        from mmseg.serving.service import Service
        model = accelerate(common.model_of(args))
        service = Service(model, limits, args.amp, args.max_batch, args.max_wait / 1000)
        if not tokens and not is_loopback(sock):
            print(f'mmseg serve: everybody who reaches {url_of(sock)} may use this server: --require-token makes it '
                  'ask for a token', file=sys.stderr)
        if made_up:
            print(f'token: {tokens[0]}', flush=True)
        name = Path(args.config).stem
        device = next(model.parameters()).device
        run(make_app(service, tokens, name), sock, f'{name} on {device}: {url_of(sock)} (Ctrl+C ends it)')


def find_tokens(args: argparse.Namespace) -> list[str]:
    """Return the tokens of a file and of the environment.

    Raises:
        InputError: the file holds none.
    """
    tokens = os.environ.get(TOKENS_VARIABLE, '').split()
    if args.token_file:
        in_file = Path(common.existing_file(args.token_file)).read_text(encoding='utf-8').split()
        if not in_file:
            raise InputError(f'{args.token_file} holds no token: write one on each line')
        tokens += in_file
    return tokens
