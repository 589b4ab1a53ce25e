"""Measure the parts around the network, each beside a yardstick in the same run, and print ratios.

    python tools/benchmark_parts.py metric       IoUMetric beside one torch.bincount over the same pixels
    python tools/benchmark_parts.py memory       evaluation beside the bare forward pass: peak memory
    python tools/benchmark_parts.py slide        slide mode beside the forward passes of its windows
    python tools/benchmark_parts.py predict      model.predict beside the bare forward pass
    python tools/benchmark_parts.py pipeline     the Cityscapes training pipeline beside its steps one after another
    python tools/benchmark_parts.py attention    fused attention beside the plain one, family by family: time and memory
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


def build_model(name: str, image_side: int | None = None, **options):
    """A model of the zoo with random weights, in evaluation mode, made for images of a side where it asks for one."""
    import torch
    from mmengine.config import Config

    from mmseg.registry import MODELS
    torch.manual_seed(0)
    cfg = Config.fromfile(CONFIGS / f'{name}.py')
    cfg.model.pretrained = None
    cfg.model.update(options)
    if image_side and 'img_size' in cfg.model.get('backbone', {}):
        cfg.model.backbone.img_size = (image_side, image_side)
    from mmengine.model.utils import revert_sync_batchnorm
    model = revert_sync_batchnorm(MODELS.build(cfg.model)).eval()
    if ARGS.accelerate:
        from mmseg.apis.speed import accelerate
        accelerate(model)
    return model


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


def _fresh(part: str, step: str, config: str) -> list[float]:
    """The numbers in the last line of a fresh process that takes a step of `part`."""
    command = [sys.executable, __file__, part, '--step', step, '--config', config, '--device', ARGS.device,
               '--repeats', str(ARGS.repeats)]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [float(number) for number in shown.splitlines()[-1].split()]


def _peak_of(step: str) -> float:
    """Peak memory in bytes of a fresh process that takes `step`."""
    return _fresh('memory', step, ARGS.config or MEMORY_CONFIG)[0]


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


def _street_batch(height: int, width: int):
    """The given picture, or a drawn one, as a normalised batch (1, 3, height, width)."""
    import cv2
    import torch
    with tempfile.TemporaryDirectory() as folder:
        picture = cv2.resize(cv2.imread(ARGS.image or _draw_street(folder)[0]), (width, height))
    return torch.from_numpy(picture).permute(2, 0, 1)[None].float().sub_(114).div_(58)


def slide() -> None:
    import torch

    from mmseg.ops import window_grid
    from mmseg.structures import SegDataSample
    model = build_model(ARGS.config or 'pspnet/pspnet_r50-d8_4xb2-40k_cityscapes-512x1024',
                        test_cfg=dict(mode='slide', crop_size=(512, 512), stride=(256, 256)))
    image = _street_batch(1024, 2048)
    size = dict(ori_shape=(1024, 2048), img_shape=(1024, 2048))
    windows = window_grid((1024, 2048), (512, 512), (256, 256))

    def forward_passes():
        for top, bottom, left, right in windows:
            model(image[:, :, top:bottom, left:right])

    with torch.no_grad():
        seconds = alternate(ours=lambda: model.predict(image, [SegDataSample(metainfo=size)]), forward=forward_passes)
    tell('slide mode, 1024x2048, 512x512 every 256, to labels, beside its forward passes', *seconds.values())


def predict() -> None:
    import torch

    from mmseg.structures import SegDataSample
    model = build_model(ARGS.config or MEMORY_CONFIG)
    image = _street_batch(512, 512)
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


ATTENTION_CONFIGS = (  # the smallest of each family; those without attention show what the measuring itself does
    'vit/vit_deit-s16_upernet_8xb2-160k_ade20k-512x512', 'setr/setr_vit-l_naive_8xb2-160k_ade20k-512x512',
    'dpt/dpt_vit-b16_8xb2-160k_ade20k-512x512', 'segmenter/segmenter_vit-t_mask_8xb1-160k_ade20k-512x512',
    'swin/swin-tiny-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512',
    'twins/twins_svt-s_uperhead_8xb2-160k_ade20k-512x512', 'segformer/segformer_mit-b0_8xb2-160k_ade20k-512x512',
    'beit/beit-base_upernet_8xb2-160k_ade20k-640x640', 'mae/mae-base_upernet_8xb2-amp-160k_ade20k-512x512',
    'convnext/convnext-tiny_upernet_8xb2-amp-160k_ade20k-512x512',
    'poolformer/fpn_poolformer_s12_8xb4-40k_ade20k-512x512', 'segnext/segnext_mscan-t_1xb16-adamw-160k_ade20k-512x512',
    'knet/knet-s3_r50-d8_fcn_8xb2-adamw-80k_ade20k-512x512', 'mask2former/mask2former_r50_8xb2-160k_ade20k-512x512',
    'maskformer/maskformer_r50-d32_8xb2-160k_ade20k-512x512', 'san/san-vit-b16_coco-stuff164k-640x640')


def attention() -> None:
    if ARGS.step is not None:
        print(*_attention_step(ARGS.step))
        return
    print('512x512, forward pass: fused beside plain attention; memory above that of the model at rest')
    for config in [ARGS.config] if ARGS.config else ATTENTION_CONFIGS:
        family = config.partition('/')[0]
        try:
            fused, plain = _fresh('attention', 'time', config)
            memory = {step: statistics.median(_fresh('attention', step, config)[0] for _ in range(3))
                      for step in ('fused', 'plain')}
        except subprocess.CalledProcessError as error:
            print(f'{family:12} {error.stderr.strip().splitlines()[-1]}', flush=True)
            continue
        tell(f'{family:12} time', fused, plain)
        tell(f'{family:12} memory', memory['fused'], memory['plain'], 'MB', 1e-6)
        sys.stdout.flush()


def _attention_step(step: str) -> list[float]:
    """Seconds of both ways, called in turn, or the bytes that one of them takes."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    torch.manual_seed(0)
    model = build_model(ARGS.config, image_side=512).to(ARGS.device)
    image = torch.randn(1, 3, 512, 512, device=ARGS.device)
    metas = [dict(ori_shape=(512, 512), img_shape=(512, 512), pad_shape=(512, 512))]
    on_gpu = ARGS.device.startswith('cuda')

    def fused() -> None:
        model.encode_decode(image, metas)
        if on_gpu:
            torch.cuda.synchronize()

    def plain() -> None:
        with sdpa_kernel(SDPBackend.MATH):
            fused()

    with torch.no_grad():
        if step == 'time':
            return list(alternate(fused=fused, plain=plain).values())
        if on_gpu:
            resting = torch.cuda.memory_allocated()
            torch.cuda.reset_peak_memory_stats()
        else:
            Path('/proc/self/clear_refs').write_text('5')  # the peak while the model was built is not meant
            resting = _peak_of_this_process()
        dict(fused=fused, plain=plain)[step]()
        return [(torch.cuda.max_memory_allocated() if on_gpu else _peak_of_this_process()) - resting]


def _peak_of_this_process() -> int:
    """Bytes, as Linux counts them."""
    status = dict(line.split(':', 1) for line in Path('/proc/self/status').read_text().splitlines())
    return int(status['VmHWM'].split()[0]) * 1024


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
         'attention': attention, 'import': import_}

if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('part', choices=PARTS)
    parser.add_argument('--config', help='FOLDER/NAME of another network')
    parser.add_argument('--accelerate', action='store_true', help='fold norms, channels last: as in inference')
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--image', help='slide, predict, pipeline: a 1024x2048 picture, instead of a drawn one')
    parser.add_argument('--label', help='pipeline: its labels')
    parser.add_argument('--device', default='cpu', help='attention: where to compute')
    parser.add_argument('--step', choices=['forward', 'evaluate', 'time', 'fused', 'plain'], help=argparse.SUPPRESS)
    ARGS = parser.parse_args()
    PARTS[ARGS.part]()
