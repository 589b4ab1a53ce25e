"""Measure how many images a model labels in a second, and how much memory it takes.

    mmseg benchmark CONFIG CHECKPOINT
    mmseg benchmark CONFIG CONFIG CONFIG --shape 512 1024 --format markdown --out speed.md
    mmseg benchmark CONFIG --device cpu --images 20 --repeats 3
    mmseg benchmark CONFIG --mode slide --window 512 --shape 1024 2048

Several configs make one table. Without a checkpoint (a file behind its config) the weights are random, which takes the
same time. Measured is everything from the bytes of an image to its labels; reading files is left out.
"""
from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import statistics
import sys
import time
from pathlib import Path

from mmseg.cli import common
from mmseg.cli.errors import explain_mistake
from mmseg.utils.errors import InputError

WEIGHTS = ('.pth', '.pt', '.ckpt', '.safetensors')
BACKENDS = ('pytorch', 'onnxruntime', 'openvino', 'torchscript', 'torch-export', 'tensorrt')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('models', nargs='+', metavar='CONFIG [CHECKPOINT]',
                        help=f'configs, each with its checkpoint ({", ".join(WEIGHTS)}) behind it or without')
    parser.add_argument('--shape', type=int, nargs='+', metavar='SIDE',
                        help='height and width of the images (as the config tests, or trains)')
    parser.add_argument('--batch-size', type=int, default=1)
    parser.add_argument('--mode', choices=('whole', 'slide'),
                        help='predict images at once or by windows (as configured)')
    parser.add_argument('--window', type=int, nargs='+', metavar='SIDE', default=[512],
                        help='height and width of the windows of --mode slide (512), two thirds of which is the stride')
    parser.add_argument('--device', help='cpu, cuda, cuda:1 … (a GPU if there is one)')
    parser.add_argument('--images', type=int, default=200, help='images to measure (200)')
    parser.add_argument('--warm-up', type=int, default=5, metavar='N', help='batches before that do not count (5)')
    parser.add_argument('--repeats', '--repeat-times', type=int, default=1, help='measure so many times (1)')
    parser.add_argument('--log-interval', type=int, default=50, metavar='N', help='tell the speed every N images (50)')
    parser.add_argument('--amp', action='store_true', help='mixed precision: float16 on a GPU, bfloat16 on a CPU')
    parser.add_argument('--channels-last', action='store_true', help='weights and images in channels-last layout')
    parser.add_argument('--compile', action='store_true', help='torch.compile the network')
    parser.add_argument('--fuse-conv-bn', action='store_true', help='put batch normalisation into the convolutions')
    parser.add_argument('--backend', nargs='+', choices=BACKENDS, default=[], metavar='NAME',
                        help=f'export each model and let others run it too: {", ".join(BACKENDS)}')
    parser.add_argument('--format', choices=('text', 'markdown', 'json'), default='text', help='of the table')
    parser.add_argument('--out', metavar='FILE', help='write the table to this file too')
    common.add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    models = [(*model, backend) for model in pair_checkpoints(args.models) for backend in args.backend or [None]]
    rows = [measure(*models[0], args)] if len(models) == 1 else measure_apart(models, args)
    table = FORMATS[args.format](rows)
    print(table)
    if args.out:
        common.writable_folder(Path(args.out).parent)
        Path(args.out).write_text(table + '\n')


def pair_checkpoints(names: list[str]) -> list[tuple[str, str | None]]:
    """Turn `[config, checkpoint, config]` into `[(config, checkpoint), (config, None)]`."""
    pairs = []
    for name in names:
        if not name.endswith(WEIGHTS):
            pairs.append((name, None))
        elif pairs and pairs[-1][1] is None:
            pairs[-1] = (pairs[-1][0], common.existing_file(name))
        else:
            raise InputError(f'the checkpoint {name!r} must stand behind its config')
    return pairs


def measure_apart(models: list[tuple[str, str | None, str | None]], args: argparse.Namespace) -> list[dict]:
    """Measure each model in a process of its own: none finds the memory that another has left warm."""
    with multiprocessing.get_context('spawn').Pool(1, maxtasksperchild=1) as pool:
        return [pool.apply(_measure_or_say, (*model, args)) for model in models]


def _measure_or_say(config: str, checkpoint: str | None, backend: str | None, args: argparse.Namespace) -> dict:
    """Measure, or explain here the mistake whose traceback stays with this process."""
    try:
        return measure(config, checkpoint, backend, args)
    except Exception as error:
        sentence = explain_mistake(error)
        if sentence is None:
            raise
        raise InputError(sentence) from error


def measure(config: str, checkpoint: str | None, backend: str | None, args: argparse.Namespace) -> dict:
    """Measure one model, run by PyTorch or, as a file, by another backend; returns its row of the table."""
    import warnings

    import torch

    from mmseg.apis.inference import choose_device, load_model
    from mmseg.utils.config import find_config, read_config
    cfg = read_config(config, common.parse_options(args.cfg_options))
    if args.mode:
        cfg.model.test_cfg = test_mode(args)
    torch.backends.cudnn.benchmark = False
    device = torch.device(choose_device(args.device))
    memory = PeakMemory(device)
    with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):  # stdout is the table's
        warnings.simplefilter('ignore')  # random weights are as good here
        model = prepare(load_model(cfg, checkpoint, str(device)), args)
    shape = common.height_and_width(args.shape) if args.shape else test_shape(cfg)
    parameters = sum(weight.numel() for weight in model.parameters())
    if backend not in (None, 'pytorch'):
        model = as_file(model, backend, shape, device, args)
        memory = PeakMemory(device)
    batch = random_batch(shape, args.batch_size, common.bands_of(cfg))
    precision = torch.float16 if device.type == 'cuda' else torch.bfloat16
    with torch.no_grad(), torch.autocast(device.type, precision, enabled=args.amp):
        for _ in range(args.warm_up):
            model.test_step(batch)
        speeds = [images_per_second(model, batch, device, args) for _ in range(args.repeats)]
    speed = statistics.mean(speeds)
    return {
        'config': find_config(config).stem,
        **({'backend': backend} if backend else {}),
        'shape': 'x'.join(map(str, shape)),
        'batch': args.batch_size,
        'device': torch.cuda.get_device_name(device) if device.type == 'cuda' else str(device),
        'images/s': round(speed, 3),
        '±': round(statistics.stdev(speeds), 3) if len(speeds) > 1 else 0.0,
        'ms/image': round(1000 / speed, 2),
        'peak MiB': memory.peak(),
        'parameters/M': round(parameters / 1e6, 2),
    }


def as_file(model, backend: str, shape: tuple[int, int], device, args: argparse.Namespace):
    """Export a model for images, or windows, of one size; returns what runs the file in its place."""
    import tempfile

    from mmseg.export.segmentor import exported_form
    given = [name for name in ('channels_last', 'compile') if getattr(args, name)]
    given += ['amp'] if args.amp and backend != 'tensorrt' else []
    if given:
        raise InputError(f'--{given[0].replace("_", "-")} is for PyTorch: leave it out, or {backend} out of --backend')
    options = model.test_cfg or {}
    sides, batch = (tuple(map(min, options['crop_size'], shape)), 1) if options.get('mode') == 'slide' else (
        shape, args.batch_size)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        return exported_form(model.cpu(), backend, Path(folder), sides, bands=common.bands_of(model.cfg),
                             batch_size=batch, device=str(device), half=args.amp)


def test_mode(args: argparse.Namespace) -> dict:
    """Return the `test_cfg` of a model for `--mode` and `--window`."""
    if args.mode == 'whole':
        return dict(mode='whole')
    window = common.height_and_width(args.window)
    return dict(mode='slide', crop_size=window, stride=tuple(side * 2 // 3 for side in window))


def prepare(model, args: argparse.Namespace):
    """Apply the switches that make a network faster."""
    import torch
    if args.fuse_conv_bn:
        from mmseg.apis.speed import fuse_conv_bn
        model = fuse_conv_bn(model)
    if args.channels_last:
        model = model.to(memory_format=torch.channels_last)
    if args.compile:
        heads = model.decode_head if isinstance(model.decode_head, torch.nn.ModuleList) else [model.decode_head]
        for part in (model.backbone, *heads):
            part.forward = torch.compile(part.forward)
    return model


def test_shape(cfg) -> tuple[int, int]:
    """Return height and width of the images that a config tests; of its crops where test images are of any shape."""
    from mmseg.apis.pipeline import test_steps
    scales = [step['scale'] for step in test_steps(cfg) if step['type'] == 'Resize' and 'scale' in step]
    if scales and max(scales[0]) <= 2 * min(scales[0]):
        return min(scales[0]), max(scales[0])
    return common.height_and_width(cfg.get('crop_size') or [512])


def random_batch(shape: tuple[int, int], size: int, bands: int) -> dict:
    """Make noise that looks like what the test pipeline returns for `size` images."""
    import torch

    from mmseg.structures import SegDataSample
    generator = torch.Generator().manual_seed(0)
    images = [torch.randint(0, 256, (bands, *shape), dtype=torch.uint8, generator=generator) for _ in range(size)]
    meta = dict(ori_shape=shape, img_shape=shape, pad_shape=shape, scale_factor=(1., 1.), flip=False)
    return dict(inputs=images, data_samples=[SegDataSample(metainfo=meta) for _ in images])


def images_per_second(model, batch: dict, device, args: argparse.Namespace) -> float:
    """Label `--images` images and return the speed; tells it in between, with the time that is left."""
    import torch
    wait = torch.cuda.synchronize if device.type == 'cuda' else lambda: None
    size, done, told = len(batch['inputs']), 0, 0
    wait()
    start = time.perf_counter()
    while done < args.images:
        model.test_step(batch)
        done += size
        if done - told >= args.log_interval and done < args.images:
            wait()
            speed, told = done / (time.perf_counter() - start), done
            print(f'{done}/{args.images} images, {speed:.2f} images/s, {(args.images - done) / speed:.0f} s left',
                  file=sys.stderr)
    wait()
    return done / (time.perf_counter() - start)


class PeakMemory:
    """The most memory taken since it was made: of the GPU, or of this process beyond what it took before (Linux)."""

    def __init__(self, device):
        self.device = device
        if device.type == 'cuda':
            import torch
            torch.cuda.reset_peak_memory_stats(device)
        else:
            self._forget_peak()
            self.before = self._status('VmRSS')

    def peak(self) -> int | None:
        """Return it in MiB, or None where the system does not tell."""
        if self.device.type == 'cuda':
            import torch
            return torch.cuda.max_memory_allocated(self.device) >> 20
        return None if self.before is None else self._status('VmHWM') - self.before >> 10

    @staticmethod
    def _forget_peak() -> None:
        try:
            Path('/proc/self/clear_refs').write_text('5')
        except OSError:
            pass

    @staticmethod
    def _status(field: str) -> int | None:
        status = Path('/proc/self/status')
        lines = status.read_text().splitlines() if status.exists() else []
        return next((int(line.split()[1]) for line in lines if line.startswith(field)), None)


def as_text(rows: list[dict]) -> str:
    """Return the table with aligned columns."""
    lines = [list(rows[0]), *([str(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines)]
    return '\n'.join('  '.join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)


def as_markdown(rows: list[dict]) -> str:
    """Return the table in Markdown."""
    lines = [list(rows[0]), ['---'] * len(rows[0]), *([str(value) for value in row.values()] for row in rows)]
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def as_json(rows: list[dict]) -> str:
    """Return the table as a JSON list."""
    return json.dumps(rows, indent=2)


FORMATS = {'text': as_text, 'markdown': as_markdown, 'json': as_json}
