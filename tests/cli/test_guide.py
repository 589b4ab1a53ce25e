"""Everything that the guide shows works as it is printed there: command lines, calls of Python, forms of a config.

The network is a small one and the data are a few pictures laid out as Cityscapes; the config is one of 0.x, which the
guide prints, so both its forms are met. `{C}` is that config, `{K}` its checkpoint, `{D}` a new folder.
"""
import json
import os
import re
import runpy
import shlex
import subprocess
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.structures import PixelData

from mmseg.apis import inference_model, init_model
from mmseg.registry import METRICS, MODELS
from mmseg.structures import SegDataSample
from mmseg.utils.config import find_config, read_config
from tests.cli.old_style import PSPNET

ROOT = Path(__file__).resolve().parents[2]
SIZE = (32, 64)
SMALL = '''
_base_ = './pspnet_r50-d8_512x1024_40k_cityscapes.py'
norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    pretrained=None,
    backbone=dict(_delete_=True, type='ResNetV1c', depth=18, base_channels=8, stem_channels=8, num_stages=2,
                  strides=(1, 2), dilations=(1, 1), out_indices=(0, 1), norm_cfg=norm_cfg),
    decode_head=dict(in_channels=16, in_index=1, channels=8, norm_cfg=norm_cfg),
    auxiliary_head=dict(in_channels=8, in_index=0, channels=8, norm_cfg=norm_cfg))
data_root = {root!r}
data = dict(
    workers_per_gpu=0, train=dict(data_root=data_root), val=dict(data_root=data_root), test=dict(data_root=data_root))
runner = dict(max_iters=2)
checkpoint_config = dict(interval=2)
evaluation = dict(interval=2)
log_config = dict(interval=1)
opencv_num_threads = 0
'''
SHRINK = [('(2048, 1024)', str(SIZE[::-1])), ('(512, 1024)', '(32, 32)')]


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    """A folder with the config, its checkpoint, pictures, a video, and Cityscapes in small."""
    folder = tmp_path_factory.mktemp('guide')
    rng = np.random.default_rng(0)
    for split in ('train', 'val'):
        for kind in ('leftImg8bit', 'gtFine'):
            (folder / 'cityscapes' / kind / split / 'town').mkdir(parents=True)
        for number in range(2):
            stem = f'{split}/town/town_{number}'
            image = rng.integers(0, 255, (*SIZE, 3), np.uint8)
            labels = np.zeros(SIZE, np.uint8)  # road
            labels[:, 30:] = 13  # cars
            labels[:3] = 255
            ids = np.array([7] * 13 + [26] + [0] * 242, np.uint8)[labels]
            instances = np.where(ids == 26, 26000, ids).astype(np.uint16)
            for kind, suffix, content in (
                    ('leftImg8bit', 'leftImg8bit', image), ('gtFine', 'gtFine_labelTrainIds', labels),
                    ('gtFine', 'gtFine_labelIds', ids), ('gtFine', 'gtFine_instanceIds', instances)):
                cv2.imwrite(str(folder / 'cityscapes' / kind / f'{stem}_{suffix}.png'), content)
    cv2.imwrite(str(folder / 'test.jpg'), image)
    video = cv2.VideoWriter(str(folder / 'video.mp4'), cv2.VideoWriter.fourcc(*'mp4v'), 5, SIZE[::-1])
    for _ in range(3):
        video.write(image)
    video.release()
    listing = PSPNET
    for large, small in SHRINK:
        listing = listing.replace(large, small)
    (folder / 'pspnet_r50-d8_512x1024_40k_cityscapes.py').write_text(listing)
    (folder / 'small.py').write_text(SMALL.format(root=str(folder / 'cityscapes')))
    torch.manual_seed(0)
    model = MODELS.build(quietly(folder / 'small.py').model)
    meta = dict(CLASSES=('a',) * 19, PALETTE=[[i] * 3 for i in range(19)])
    torch.save(dict(state_dict=model.state_dict(), meta=meta), folder / 'small.pth')
    return folder


def quietly(path):
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return read_config(path)


def say(line, capsys):
    """Run `python SCRIPT ARGUMENTS` in this process and return what it prints."""
    script, *arguments = shlex.split(line.removeprefix('python '))
    before = sys.argv, list(sys.path)
    sys.argv = [script, *arguments]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            runpy.run_path(str(ROOT / script), run_name='__main__')
    except SystemExit as end:
        assert not end.code, capsys.readouterr().err[-2000:]
    finally:
        sys.argv, sys.path[:] = before
    return capsys.readouterr().out


# --------------------------------------------------------------------------------------------------- command lines

def hash_in_name(folder, said):
    (file,) = folder.glob('published-*.pth')
    assert re.fullmatch(r'published-[0-9a-f]{8}\.pth', file.name)
    assert set(torch.load(file, weights_only=True)) == {'state_dict', 'meta'}


def pngs_of_ids(folder, said):
    files = sorted(folder.glob('results/*.png'))
    assert [file.name for file in files] == ['town_0_leftImg8bit.png', 'town_1_leftImg8bit.png']
    assert set(np.unique(cv2.imread(str(files[0]), -1))) <= {7, 8, *range(11, 14), 17, *range(19, 29), 31, 32, 33}


LINES = [
    ('python demo/image_demo.py test.jpg {C} {K} --device cpu --palette cityscapes --opacity 0.7 --out-file {D}/a.png',
     lambda folder, said: cv2.imread(str(folder / 'a.png')).shape == (*SIZE, 3)),
    ('python tools/print_config.py {C} --graph --cfg-options model.decode_head.channels=4',
     lambda folder, said: '        channels=4,' in said and 'decode_head: PSPHead' in said),
    ('python tools/train.py {C} --work-dir {D}', lambda folder, said: (folder / 'iter_2.pth').is_file()),
    ('python tools/test.py {C} {K} --work-dir {D} --out {D}/results.pkl --eval mIoU',
     lambda folder, said: (folder / 'results.pkl').is_file()),
    ('python tools/test.py {C} {K} --work-dir {D} --show-dir {D}/pictures --opacity 0.3 --show',
     lambda folder, said: len(list((folder / 'pictures').rglob('*.png'))) == 2),
    ('python tools/test.py {C} {K} --work-dir {D} --format-only --eval-options imgfile_prefix={D}/results '
     'efficient_test=True', pngs_of_ids),
    ('python tools/test.py {C} {K} --work-dir {D} --aug-test --eval mIoU mDice mFscore',
     lambda folder, said: 'mFscore' in next(folder.glob('*/*.json')).read_text()),
    ('python tools/get_flops.py {C} --shape 32 64',
     lambda folder, said: 'Input shape: (3, 32, 64)' in said and 'GMac' in said and 'Params: ' in said),
    ('python tools/publish_model.py {K} {D}/published', hash_in_name),
    ('python tools/publish_model.py {K} {D}/published.pth', hash_in_name),
    ('python tools/benchmark.py {C} {K} --log-interval 50 --fuse-conv-bn --images 20',
     lambda folder, said: 'images/s' in said),
    ('python tools/migrate_config.py {C} {D}/new.py',
     lambda folder, said: quietly(folder / 'new.py').model.type == 'EncoderDecoder'),
    ('python tools/analysis_tools/confusion_matrix.py {C} {K} {D} --color-theme viridis',
     lambda folder, said: (folder / 'confusion_matrix.png').is_file()),
    ('python tools/misc/print_config.py {C}', lambda folder, said: "type='PSPHead'" in said),
    ('python tools/misc/publish_model.py {K} {D}/published.pth', hash_in_name),
    ('python tools/analysis_tools/get_flops.py {C} --shape 32', lambda folder, said: '(3, 32, 32)' in said),
]


@pytest.mark.parametrize(('line', 'holds'), LINES, ids=[line.partition(' ')[2][:60] for line, _ in LINES])
def test_a_command_line(line, holds, place, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(place)
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '-1')
    said = say(line.format(C='small.py', K='small.pth', D=tmp_path), capsys)
    assert holds(tmp_path, said) in (True, None)


@pytest.mark.skipif(find_spec('cityscapesscripts') is None, reason='the official scripts are not installed')
def test_the_official_evaluation(place, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(place)
    say(f'python tools/test.py small.py small.pth --work-dir {tmp_path} --eval mIoU cityscapes', capsys)
    figures = json.loads(next(tmp_path.glob('*/*.json')).read_text())
    assert {'mIoU', 'averageScoreClasses'} <= set(figures)


SCRIPTS = [
    ('bash tools/dist_train.sh C', '--nproc_per_node=4 tools/train.py C --launcher pytorch'),
    ('bash tools/dist_train.sh C 8 --work-dir D',
     '--nproc_per_node=8 tools/train.py C --launcher pytorch --work-dir D'),
    ('./tools/dist_test.sh C K 4 --out results.pkl --eval mIoU cityscapes',
     '--nproc_per_node=4 ./tools/test.py C K --launcher pytorch --out results.pkl --eval mIoU cityscapes'),
    ('./tools/dist_test.sh C K 4 --format-only --eval-options "imgfile_prefix=./results"',
     './tools/test.py C K --launcher pytorch --format-only --eval-options imgfile_prefix=./results'),
    ('GPUS=16 bash tools/slurm_train.sh dev job C', '--ntasks=16'),
    ('GPUS=4 bash tools/slurm_test.sh dev job C K --eval mIoU', 'test.py C K --launcher slurm --eval mIoU'),
]


@pytest.mark.parametrize(('line', 'called'), SCRIPTS, ids=[line for line, _ in SCRIPTS])
def test_a_script_for_several_gpus(line, called, tmp_path):
    """What it starts is printed by stand-ins for `python` and `srun`."""
    for name in ('python', 'srun'):
        (tmp_path / name).write_text('#!/bin/sh\necho "$@"\n')
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(['bash', '-c', line], cwd=ROOT, capture_output=True, text=True,
                          env={**os.environ, 'PATH': f'{tmp_path}:{os.environ["PATH"]}'})
    assert done.returncode == 0, done.stderr
    assert called in done.stdout


# Tools of the guide that stand in this table by the name of their file; each has its own tests.
TOOLS = [
    'analyze_logs.py', 'analysis_tools/analyze_logs.py', 'browse_dataset.py', 'model_converters/vit2mmseg.py',
    'model_converters/swin2mmseg.py', 'model_converters/mit2mmseg.py',
    *(f'convert_datasets/{name}.py' for name in ('cityscapes', 'voc_aug', 'pascal_context', 'chase_db1', 'drive', 'hrf',
                                                 'stare', 'loveda', 'potsdam', 'vaihingen', 'isaid')),
]


@pytest.mark.parametrize('tool', TOOLS)
def test_a_tool_with_tests_of_its_own_explains_itself(tool, capsys):
    assert 'usage: ' in say(f'python tools/{tool} --help', capsys)


# ---------------------------------------------------------------------------------------------------------- Python

def test_a_notebook(place, tmp_path, monkeypatch):
    import mmcv
    monkeypatch.chdir(place)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        model = init_model('small.py', 'small.pth', device='cuda:0')
        img = 'test.jpg'
        result = inference_model(model, img)
        model.show_result(img, result, show=True)
        model.show_result(img, result, out_file=f'{tmp_path}/result.jpg', opacity=0.5)
        assert torch.equal(inference_model(model, mmcv.imread(img)).pred_sem_seg.data, result.pred_sem_seg.data)
        frames = 0
        for frame in mmcv.VideoReader('video.mp4'):
            result = inference_model(model, frame)
            model.show_result(frame, result, wait_time=1)
            frames += 1
    assert frames == 3
    assert cv2.imread(f'{tmp_path}/result.jpg').shape == (*SIZE, 3)


def test_a_sample():
    sample = SegDataSample(metainfo=dict(img_shape=(4, 4, 3)))
    sample.gt_sem_seg = PixelData(data=torch.randint(0, 2, (1, 4, 4)), metainfo=dict(note='hand-made'))
    sample.pred_sem_seg = PixelData(data=torch.zeros(1, 4, 4))
    sample.seg_logits = PixelData(data=torch.zeros(2, 4, 4))
    assert 'gt_sem_seg' in sample and sample.gt_sem_seg.shape == (4, 4) and 'img_shape' in str(sample)
    assert sample.to('cpu').detach().numpy().pred_sem_seg.data.shape == (1, 4, 4)
    del sample.seg_logits
    assert 'seg_logits' not in sample
    with pytest.raises(AssertionError):
        sample.gt_sem_seg = torch.zeros(4, 4)

    class MySample(SegDataSample):

        @property
        def weights(self):
            return self._weights

        @weights.setter
        def weights(self, value):
            self.set_field(value, '_weights', dtype=PixelData)

    mine = MySample(weights=PixelData(data=torch.ones(1, 4, 4)))
    assert mine.weights.data.sum() == 16


# ---------------------------------------------------------------------------------------------------------- config

OWN = '''
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn

from mmseg.datasets import BaseSegDataset
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.losses.utils import weighted_loss
from mmseg.registry import (DATASETS, HOOKS, METRICS, MODELS, OPTIM_WRAPPER_CONSTRUCTORS, OPTIMIZERS, TRANSFORMS)


@MODELS.register_module()
class MyBackbone(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3, 4, 1)

    def forward(self, x):
        return (self.conv(x),)

    def init_weights(self, pretrained=None):
        pass


@MODELS.register_module()
class MyHead(BaseDecodeHead):
    def forward(self, inputs):
        return self.cls_seg(self._transform_inputs(inputs))


@weighted_loss
def my_loss(pred, target):
    return (pred.softmax(1).amax(1) - (target != 255).float()).abs()


@MODELS.register_module()
class MyLoss(nn.Module):
    def __init__(self, reduction='mean', loss_weight=1.0, loss_name='loss_my'):
        super().__init__()
        self.reduction, self.loss_weight, self._loss_name = reduction, loss_weight, loss_name

    def forward(self, pred, target, weight=None, avg_factor=None, reduction_override=None, ignore_index=255):
        reduction = reduction_override or self.reduction
        return self.loss_weight * my_loss(pred, target, weight, reduction=reduction, avg_factor=avg_factor)

    @property
    def loss_name(self):
        return self._loss_name


@OPTIMIZERS.register_module()
class MyOptimizer(torch.optim.SGD):
    pass


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class MyConstructor(DefaultOptimWrapperConstructor):
    pass


@HOOKS.register_module()
class MyHook(Hook):
    def __init__(self, a):
        self.a = a

    def after_train_iter(self, runner, **kwargs):
        runner.message_hub.update_info('my_hook', self.a)


@TRANSFORMS.register_module()
class MyTransform(BaseTransform):
    def transform(self, results):
        results['img'] = np.ascontiguousarray(results['img'][:, ::-1])
        results['gt_seg_map'] = np.ascontiguousarray(results['gt_seg_map'][:, ::-1])
        return results


@DATASETS.register_module()
class MyDataset(BaseSegDataset):
    METAINFO = dict(classes=[f'class {i}' for i in range(19)], palette=[[10 * i] * 3 for i in range(19)])

    def __init__(self, **kwargs):
        super().__init__(img_suffix='_leftImg8bit.png', seg_map_suffix='_gtFine_labelTrainIds.png', **kwargs)


@METRICS.register_module()
class MyMetric(BaseMetric):
    default_prefix = 'my'

    def process(self, data_batch, data_samples):
        self.results += [1] * len(data_samples)

    def compute_metrics(self, results):
        return dict(images=sum(results))
'''
OWN_CONFIG = '''
_base_ = './small.py'
custom_imports = dict(imports=['guide_own_parts'], allow_failed_imports=False)
norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    backbone=dict(_delete_=True, type='MyBackbone', width=6),
    decode_head=dict(
        _delete_=True, type='MyHead', in_channels=6, channels=6, in_index=0, num_classes=19,
        sampler=dict(type='OHEMPixelSampler', thresh=0.7, min_kept=100000),
        loss_decode=[dict(type='CrossEntropyLoss', loss_name='loss_ce', loss_weight=1.0, avg_non_ignore=True,
                          class_weight=[1.] * 18 + [2.]),
                     dict(type='DiceLoss', loss_name='loss_dice', loss_weight=3.0),
                     dict(type='MyLoss', loss_weight=0.5)]),
    auxiliary_head=None,
    test_cfg=dict(mode='slide', crop_size=(32, 32), stride=(20, 20)))
train_pipeline = [
    dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'),
    dict(type='RandomCrop', crop_size=(32, 32), cat_max_ratio=0.75), dict(type='MyTransform'),
    dict(type='Normalize', mean=[120.] * 3, std=[60.] * 3, to_rgb=True),
    dict(type='Pad', size=(32, 32), pad_val=0, seg_pad_val=255),
    dict(type='DefaultFormatBundle'), dict(type='Collect', keys=['img', 'gt_semantic_seg'])]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='MultiScaleFlipAug', img_scale=(64, 32), flip=False, transforms=[
        dict(type='Resize', keep_ratio=True), dict(type='RandomFlip'),
        dict(type='Normalize', mean=[120.] * 3, std=[60.] * 3, to_rgb=True),
        dict(type='ImageToTensor', keys=['img']), dict(type='Collect', keys=['img'])])]
base = dict(type='MyDataset', data_root={root!r}, img_dir='leftImg8bit/train', ann_dir='gtFine/train')
mosaic = [
    dict(type='RandomMosaic', prob=1.), dict(type='Resize', img_scale=(64, 32), ratio_range=(0.5, 2.0)),
    *train_pipeline[2:]]
data = dict(
    samples_per_gpu=2, workers_per_gpu=0,
    train=dict(_delete_=True, type='RepeatDataset', times=4, dataset={train}),
    val=dict(_delete_=True, pipeline=test_pipeline, **dict(base, img_dir=['leftImg8bit/val', 'leftImg8bit/train'],
                                                           ann_dir=['gtFine/val', 'gtFine/train'])),
    test=dict(_delete_=True, pipeline=test_pipeline, **base))
optimizer = dict(_delete_=True, type='MyOptimizer', lr=0.01, momentum=0.9, constructor='MyConstructor',
                 paramwise_cfg=dict(custom_keys={{'head': dict(lr_mult=10.)}}))
optimizer_config = dict(grad_clip=dict(max_norm=35, norm_type=2))
lr_config = dict(
    _delete_=True, policy={policy!r}, warmup='linear', warmup_iters=1, warmup_ratio=0.1, by_epoch=False{more})
momentum_config = dict(policy='cyclic', target_ratio=(0.85 / 0.95, 1), cyclic_times=1, step_ratio_up=0.4)
runner = dict(type='IterBasedRunner', max_iters=5)
checkpoint_config = dict(interval=5)
evaluation = dict(interval=5, metric='mIoU')
workflow = [('train', 1), ('val', 1)]
custom_hooks = [dict(type='MyHook', a=7)]
'''
TRAIN = 'dict(base, pipeline=train_pipeline)'
MIX = ("dict(type='MultiImageMixDataset', dataset=dict(base, pipeline=train_pipeline[:2]), pipeline=mosaic)")
JOINED = "[dict(base, pipeline=train_pipeline), dict(base, pipeline=train_pipeline, split='some.txt')]"


@pytest.mark.parametrize(('train', 'policy', 'more'), [
    (TRAIN, 'step', ', step=[2, 3]'), (MIX, 'CosineAnnealing', ', min_lr_ratio=1e-5'), (JOINED, 'poly', ', power=0.9')],
    ids=['plain, step', 'mosaic, cosine', 'joined, poly'])
def test_a_config_with_parts_and_tricks_of_ones_own(place, tmp_path, monkeypatch, capsys, train, policy, more):
    monkeypatch.chdir(place)
    monkeypatch.syspath_prepend(place)
    (place / 'guide_own_parts.py').write_text(OWN)
    (place / 'cityscapes' / 'some.txt').write_text('town/town_1\n')
    config = OWN_CONFIG.format(root=str(place / 'cityscapes'), train=train, policy=policy, more=more)
    (place / 'own.py').write_text(config)
    say(f'python tools/train.py own.py --work-dir {tmp_path}', capsys)
    metric = METRICS.build(dict(type='MyMetric'))
    metric.process({}, [{}, {}])
    assert metric.evaluate(2) == {'my/images': 2}
    log = next(tmp_path.glob('*/vis_data/scalars.json')).read_text().splitlines()
    first = json.loads(log[0])
    assert {'decode.loss_ce', 'decode.loss_dice', 'decode.loss_my'} <= set(first)
    figures = json.loads(log[-1])
    assert 0 <= figures['mIoU'] <= 100
    checkpoint = torch.load(tmp_path / 'iter_5.pth', weights_only=False)
    assert checkpoint['message_hub']['runtime_info']['my_hook'] == 7
    groups = checkpoint['optimizer']['param_groups']
    rates = {group['initial_lr'] for group in groups}
    assert rates == {0.01, 0.1}


NAMES = [
    'pspnet_r50-d8_512x1024_40k_cityscapes.py', 'deeplabv3plus_r18-d8_512x1024_80k_cityscapes.py',
    'pspnet_r50-d8_512x512_80k_loveda.py', 'fcn_unet_s5-d16_64x64_40k_drive.py',
    'configs/pspnet/pspnet_r50-d8_512x1024_40k_cityscapes.py',
]


@pytest.mark.parametrize('name', NAMES)
def test_an_older_name(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = set(re.split(r'[_.-]', Path(name).stem)) - {'s5', 'd16', 'd8'}
    assert words <= set(re.split(r'[_.-]', find_config(name).stem))


def test_deletion_and_variables(place):
    cfg = quietly(place / 'small.py')
    assert 'contract_dilation' not in cfg.model.backbone
    assert cfg.model.decode_head.norm_cfg == dict(type='BN', requires_grad=True)
    assert cfg.model.decode_head.pool_scales == (1, 2, 3, 6)
