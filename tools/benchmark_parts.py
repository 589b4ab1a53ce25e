"""Measure the parts around the network, each beside a yardstick in the same run, and print ratios.

    python tools/benchmark_parts.py metric       IoUMetric beside one torch.bincount over the same pixels
    python tools/benchmark_parts.py memory       evaluation beside the bare forward pass: peak memory
    python tools/benchmark_parts.py slide        slide mode beside the forward passes of its windows
    python tools/benchmark_parts.py predict      model.predict beside the bare forward pass
    python tools/benchmark_parts.py pipeline     the Cityscapes training pipeline beside its steps one after another
    python tools/benchmark_parts.py import       import mmseg beside import torch; building PSPNet-R50 from its config
"""
from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CONFIGS = Path(__file__).resolve().parent.parent / 'configs'


def alternate(**functions) -> dict[str, float]:
    """Median seconds of each function, called in turn."""
    seconds = {name: [] for name in functions}
    for round_ in range(ARGS.repeats + 1):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            if round_:  # the first round warms up
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def tell(what: str, ours: float, yardstick: float, unit: str = 'ms', factor: float = 1e3) -> None:
    print(f'{what}: {ours * factor:.1f} {unit} beside {yardstick * factor:.1f} {unit}, ratio {ours / yardstick:.3f}')


def build_model(name: str, **options):
    """A model of the zoo with random weights, in evaluation mode."""
    import torch
    from mmengine.config import Config

    from mmseg.registry import MODELS
    torch.manual_seed(0)
    cfg = Config.fromfile(CONFIGS / f'{name}.py')
    cfg.model.pretrained = None
    cfg.model.update(options)
    from mmengine.model.utils import revert_sync_batchnorm
    return revert_sync_batchnorm(MODELS.build(cfg.model)).eval()


def metric() -> None:
    import torch
    from mmengine.structures import PixelData

    from mmseg.evaluation import IoUMetric
    from mmseg.structures import SegDataSample
    label = torch.randint(0, 19, (1, 1024, 2048))
    label[:, :100] = 255
    pred = torch.randint(0, 19, (1, 1024, 2048))
    sample = SegDataSample(gt_sem_seg=PixelData(data=label), pred_sem_seg=PixelData(data=pred)).to_dict()
    meter = IoUMetric()
    meter.dataset_meta = dict(classes=[str(i) for i in range(19)])
    flat = label.flatten()
    seconds = alternate(ours=lambda: meter.process({}, [sample]), bincount=lambda: torch.bincount(flat, minlength=256))
    tell('IoUMetric, 1024x2048, int64, beside one bincount', *seconds.values())


def _peak_of(step: str) -> float:
    """Peak memory in bytes of a fresh process that takes `step`."""
    command = [sys.executable, __file__, 'memory', '--step', step, '--config', ARGS.config or MEMORY_CONFIG]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


MEMORY_CONFIG = 'pspnet/pspnet_r50-d8_4xb4-80k_ade20k-512x512'


def memory() -> None:
    if ARGS.step is None:
        forward, predict = (statistics.median(_peak_of(step) for _ in range(3)) for step in ('forward', 'evaluate'))
        print(f'evaluation at 150 classes, 1024x1024, above the forward pass: {(predict - forward) / 1e6:.1f} MB '
              f'({predict / 1e6:.0f} beside {forward / 1e6:.0f})')
        return
    import torch
    from mmengine.structures import PixelData

    from mmseg.evaluation import IoUMetric
    from mmseg.structures import SegDataSample
    model = build_model(ARGS.config)
    image = torch.randn(1, 3, 1024, 1024)
    size = dict(ori_shape=(1024, 1024), img_shape=(1024, 1024))
    sample = SegDataSample(metainfo=size, gt_sem_seg=PixelData(data=torch.randint(0, 150, (1, 1024, 1024))))
    meter = IoUMetric()
    meter.dataset_meta = dict(classes=[str(i) for i in range(150)])
    with torch.no_grad():
        if ARGS.step == 'forward':
            model(image)
        else:
            meter.process({}, [result.to_dict() for result in model.predict(image, [sample])])
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def slide() -> None:
    import torch

    from mmseg.ops import window_grid
    model = build_model(ARGS.config or 'pspnet/pspnet_r50-d8_4xb2-40k_cityscapes-512x1024',
                        test_cfg=dict(mode='slide', crop_size=(512, 512), stride=(256, 256)))
    image = torch.randn(1, 3, 1024, 2048)
    meta = [dict(ori_shape=(1024, 2048), img_shape=(1024, 2048))]
    windows = window_grid((1024, 2048), (512, 512), (256, 256))

    def forward_passes():
        for top, bottom, left, right in windows:
            model(image[:, :, top:bottom, left:right])

    with torch.no_grad():
        seconds = alternate(ours=lambda: model.inference(image, meta), forward=forward_passes)
    tell('slide mode, 1024x2048, 512x512 every 256, beside its forward passes', *seconds.values())


def predict() -> None:
    import torch

    from mmseg.structures import SegDataSample
    model = build_model(ARGS.config or MEMORY_CONFIG)
    image = torch.randn(1, 3, 512, 512)
    size = dict(ori_shape=(512, 512), img_shape=(512, 512))
    with torch.no_grad():
        seconds = alternate(ours=lambda: model.predict(image, [SegDataSample(metainfo=size)]),
                            forward=lambda: model(image))
    tell('model.predict, 512x512, beside the bare forward pass', *seconds.values())


def pipeline() -> None:
    import cv2
    import numpy as np
    from mmengine.config import Config
    from mmengine.dataset import Compose as OneAfterAnother
    from mmengine.registry import init_default_scope
    sys.path.insert(0, str(CONFIGS.parent))
    from mmseg.datasets.transforms.compose import Compose
    from tests.datasets.transforms.plain import published_pipeline
    init_default_scope('mmseg')
    cv2.setNumThreads(0)
    steps = Config.fromfile(CONFIGS / '_base_/datasets/cityscapes.py').train_pipeline
    with tempfile.TemporaryDirectory() as folder:
        image_path, label_path = (ARGS.image, ARGS.label) if ARGS.image else _draw_street(folder)
        source = dict(img_path=image_path, seg_map_path=label_path, label_map=None, reduce_zero_label=False)
        fused, unfused, decode = Compose(steps[2:]), OneAfterAnother(steps[2:]), Compose(steps[:2])
        loaded = decode(dict(source, seg_fields=[]))
        calls = dict(
            fused=lambda: fused({**loaded, 'seg_fields': list(loaded['seg_fields'])}),
            unfused=lambda: unfused({**loaded, 'seg_fields': list(loaded['seg_fields'])}),
            plain=lambda: published_pipeline(loaded['img'], loaded['gt_seg_map'], (2048, 1024), (512, 1024)),
            decode=lambda: decode(dict(source, seg_fields=[])))
        best = {name: [] for name in calls}
        for seed in range(40):  # the draws decide the cost: the best of some runs of each, and their mean
            seconds = {name: [] for name in calls}
            for _ in range(ARGS.repeats):
                for name, call in calls.items():
                    np.random.seed(seed)  # noqa: NPY002 (the generator that the transforms draw from)
                    start = time.process_time()
                    call()
                    seconds[name].append(time.process_time() - start)
            for name, values in seconds.items():
                best[name].append(min(values))
    mean = {name: statistics.mean(values) for name, values in best.items()}
    tell('Cityscapes training pipeline without decoding, beside its steps said plainly, on the whole image',
         mean['fused'], mean['plain'])
    tell('beside our own transforms one after another', mean['fused'], mean['unfused'])
    print(f'decoding image and label: {mean["decode"] * 1e3:.1f} ms')


def _draw_street(folder: str) -> tuple[str, str]:
    """Write an image and a label map that compress about as street scenes do."""
    import cv2
    import numpy as np
    rng = np.random.default_rng(0)
    small = rng.integers(0, 255, (64, 128, 3), dtype=np.uint8)
    noise = rng.integers(0, 12, (1024, 2048, 3), dtype=np.uint8)
    image = cv2.add(cv2.resize(small, (2048, 1024), interpolation=cv2.INTER_CUBIC), noise)
    label = cv2.resize(rng.integers(0, 19, (16, 32), dtype=np.uint8), (2048, 1024), interpolation=cv2.INTER_NEAREST)
    paths = os.path.join(folder, 'image.png'), os.path.join(folder, 'label.png')
    for path, picture in zip(paths, (image, label)):
        cv2.imwrite(path, picture)
    return paths


def import_() -> None:
    config = CONFIGS / 'pspnet/pspnet_r50-d8_4xb2-40k_cityscapes-512x1024.py'
    build = ('import torch, mmseg, time; t = time.perf_counter(); from mmengine.config import Config; '
             'from mmseg.registry import MODELS; '
             f'MODELS.build(Config.fromfile({str(config)!r}).model); print(time.perf_counter() - t)')
    built = []

    def run(code):
        return subprocess.run([sys.executable, '-c', code], check=True, capture_output=True, text=True).stdout

    seconds = alternate(ours=lambda: run('import torch, mmseg'), torch=lambda: run('import torch'),
                        build=lambda: built.append(float(run(build))))
    print(f'import mmseg adds {seconds["ours"] - seconds["torch"]:.2f} s to import torch ({seconds["torch"]:.2f} s); '
          f'from there to PSPNet-R50 built from its config {statistics.median(built):.2f} s')


PARTS = {'metric': metric, 'memory': memory, 'slide': slide, 'predict': predict, 'pipeline': pipeline,
         'import': import_}

if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('part', choices=PARTS)
    parser.add_argument('--config', help='FOLDER/NAME of another network')
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--image', help='pipeline: a 1024x2048 picture, instead of a drawn one')
    parser.add_argument('--label', help='pipeline: its labels')
    parser.add_argument('--step', choices=['forward', 'evaluate'], help=argparse.SUPPRESS)
    ARGS = parser.parse_args()
    PARTS[ARGS.part]()
