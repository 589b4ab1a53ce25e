"""Configs of 0.x are said in the words of 1.x: part by part, and as a whole beside the config that took its place."""
import math
import textwrap
import warnings

import mmengine.optim  # noqa: F401  (registers the schedulers)
import pytest
import torch
from mmengine.config import Config

from mmseg.cli import main
from mmseg.registry import PARAM_SCHEDULERS
from mmseg.utils.config import find_config, read_config
from mmseg.utils.errors import ConfigError
from mmseg.utils.old_config import as_text, is_old, translate
from mmseg.utils.old_config.datasets import translate_data
from mmseg.utils.old_config.pipelines import Prepared, translate_steps, translate_test
from mmseg.utils.old_config.schedules import Schedule
from tests.cli.old_style import PSPNET

NORMALIZE = dict(type='Normalize', mean=[1., 2., 3.], std=[4., 5., 6.], to_rgb=True)


@pytest.fixture
def pspnet(tmp_path):
    path = tmp_path / 'pspnet_r50-d8_512x1024_40k_cityscapes.py'
    path.write_text(PSPNET)
    return path


def quietly(path, options=None):
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return read_config(path, options)


def test_the_whole_listing_is_the_config_that_took_its_place(pspnet):
    with pytest.warns(UserWarning, match=r'cityscapes\.py is a config of 0\.x, .*migrate-config'):
        old = read_config(pspnet)
    new = read_config('pspnet_r50-d8_4xb2-40k_cityscapes-512x1024')
    for key in ('model', 'train_pipeline', 'test_pipeline', 'train_dataloader', 'param_scheduler', 'train_cfg',
                'val_cfg', 'val_evaluator', 'default_scope', 'env_cfg', 'log_processor', 'tta_model',
                'log_level', 'load_from'):
        assert old[key] == new[key], key
    assert old.optim_wrapper == {key: value for key, value in new.optim_wrapper.items() if key != 'clip_grad'}
    assert old.val_dataloader == dict(new.val_dataloader, num_workers=2)
    for name in ('timer', 'logger', 'param_scheduler', 'checkpoint', 'sampler_seed', 'visualization'):
        assert old.default_hooks[name] == new.default_hooks[name]


def test_options_may_have_keys_of_both(pspnet):
    cfg = quietly(pspnet, {'data.samples_per_gpu': 4, 'optimizer.lr': 0.5, 'runner.max_iters': 7,
                           'model.test_cfg.mode': 'slide', 'train_cfg.val_interval': 3})
    assert (cfg.train_dataloader.batch_size, cfg.optim_wrapper.optimizer.lr) == (4, 0.5)
    assert (cfg.train_cfg.max_iters, cfg.train_cfg.val_interval, cfg.param_scheduler[0].end) == (7, 3, 7)
    assert cfg.model.test_cfg.mode == 'slide'


def test_a_leaf_of_0x_over_a_base_of_1x_changes_what_it_names(tmp_path):
    leaf = tmp_path / 'leaf.py'
    leaf.write_text(textwrap.dedent(f'''
        _base_ = {str(find_config('pspnet_r50-d8_4xb2-40k_cityscapes-512x1024'))!r}
        data = dict(samples_per_gpu=8, train=dict(data_root='elsewhere'))
        lr_config = dict(policy='step', step=[3, 5], by_epoch=False)
        optimizer_config = dict(grad_clip=dict(max_norm=1.))
        evaluation = dict(interval=500, save_best='mIoU')
        '''))
    cfg, base = quietly(leaf), read_config('pspnet_r50-d8_4xb2-40k_cityscapes-512x1024')
    assert cfg.train_dataloader == dict(base.train_dataloader, batch_size=8,
                                        dataset=dict(base.train_dataloader.dataset, data_root='elsewhere'))
    assert cfg.param_scheduler == [dict(type='MultiStepLR', milestones=[3, 5], gamma=0.1, by_epoch=False)]
    assert cfg.optim_wrapper == dict(base.optim_wrapper, clip_grad=dict(max_norm=1.))
    assert cfg.train_cfg == dict(base.train_cfg, val_interval=500)
    assert cfg.default_hooks.checkpoint == dict(base.default_hooks.checkpoint, save_best='mIoU')
    assert cfg.model == base.model
    assert cfg.val_dataloader == base.val_dataloader


@pytest.mark.parametrize(('own', 'rate'), [('', 6e-5), ('optimizer = dict(lr=0.5)\n', 0.5)])
def test_a_leaf_of_0x_keeps_the_optimizer_of_its_base_unless_it_says_so(tmp_path, own, rate):
    base = find_config('segformer_mit-b0_8xb2-160k_ade20k-512x512')
    (tmp_path / 'leaf.py').write_text(f"_base_ = {str(base)!r}\nevaluation = dict(interval=500)\n{own}")
    cfg, plain = quietly(tmp_path / 'leaf.py'), read_config(base)
    assert cfg.optim_wrapper.optimizer == dict(plain.optim_wrapper.optimizer, lr=rate)
    assert cfg.optim_wrapper.paramwise_cfg == plain.optim_wrapper.paramwise_cfg
    assert cfg.param_scheduler == plain.param_scheduler
    assert quietly(tmp_path / 'leaf.py', {'optimizer.lr': 7.}).optim_wrapper.optimizer.lr == 7.


def test_a_mixed_precision_wrapper_of_a_base_stays(tmp_path):
    (tmp_path / 'base.py').write_text("optim_wrapper = dict(type='AmpOptimWrapper', optimizer=dict(type='SGD'))\n")
    (tmp_path / 'leaf.py').write_text("_base_ = 'base.py'\noptimizer_config = dict(grad_clip=dict(max_norm=1.))\n")
    assert quietly(tmp_path / 'leaf.py').optim_wrapper == dict(
        type='AmpOptimWrapper', optimizer=dict(type='SGD'), clip_grad=dict(max_norm=1.))


def test_what_a_config_of_1x_keeps_without_a_use_is_no_mark():
    for unused in (dict(total_iters=6), dict(runner=dict(type='IterBasedRunner', max_iters=6)), dict(optimizer=dict())):
        assert is_old(unused)
        assert not is_old(dict(unused, optim_wrapper=dict()))


def test_a_config_of_1x_is_left_alone():
    cfg = read_config('pspnet_r50-d8_4xb2-40k_cityscapes-512x1024')
    assert not is_old(cfg)
    assert translate(cfg.to_dict()) == cfg.to_dict()
    assert not is_old(dict(optimizer=dict(type='SGD'), optim_wrapper=dict()))


def test_a_base_that_has_gone_names_its_successor(tmp_path):
    (tmp_path / 'leaf.py').write_text("_base_ = './pspnet_r50-d8_512x1024_40k_cityscapes.py'\n")
    with pytest.raises(ConfigError, match='its successor is .*/pspnet/pspnet_r50-d8_4xb2-40k_cityscapes-512x1024.py'):
        read_config(tmp_path / 'leaf.py')


@pytest.mark.parametrize(('change', 'words'), [
    ("data['sample_per_gpu'] = 4", r'data\.sample_per_gpu .*no counterpart: did you mean samples_per_gpu'),
    ("lr_config['policy'] = 'inv'", r"lr_config\.policy='inv' .*known are fixed, poly"),
    ("lr_config['powr'] = 1", r'lr_config\.powr .*did you mean power'),
    ("lr_config['warmup'] = 'exp'", r"lr_config\.warmup='exp'"),
    ("runner = dict(type='DynamicRunner', max_iters=3)", r"runner\.type='DynamicRunner'"),
    ("runner = dict(type='IterBasedRunner')", r'runner .*has no max_iters'),
    ("evaluation['metric'] = 'PQ'", r"evaluation\.metric='PQ'"),
    ("evaluation['every'] = 3", r'evaluation\.every'),
    ("optimizer_config['type'] = 'MyHook'", r"optimizer_config\.type='MyHook'"),
    ("log_config['hooks'] = [dict(type='PaviLoggerHook')]", r"log_config\.hooks: type='PaviLoggerHook'"),
    ("checkpoint_config['intervall'] = 3", r'checkpoint_config\.intervall'),
    ("train_pipeline[2]['multiscale'] = 3", r'data\.train\.pipeline: Resize\.multiscale '),
    ("del train_pipeline[2]['img_scale']", r'data\.train\.pipeline: Resize without img_scale'),
    ("test_pipeline[1]['scales'] = 3", r'MultiScaleFlipAug\.scales'),
    ("data['val']['img_dir'] = ['a', 'b']; data['val']['ann_dir'] = ['a']", r'data\.val: .*2 in img_dir, 1 in ann_dir'),
    ("test_pipeline[1]['transforms'][2] = dict(type='Normalize', mean=[0.], std=[1.])", 'Normalize differs'),
])
def test_an_unknown_part_is_named(pspnet, change, words):
    variables = {}
    exec(pspnet.read_text(), variables)
    exec(change, variables)
    cfg = Config({key: value for key, value in variables.items() if not key.startswith('__')})
    with pytest.raises(ConfigError, match=words):
        read_config(cfg)


# ------------------------------------------------------------------------------------------------------- pipelines

@pytest.mark.parametrize(('old', 'new'), [
    (dict(type='Resize', img_scale=(8, 4)), dict(type='Resize', scale=(8, 4), keep_ratio=True)),
    (dict(type='Resize', img_scale=(8, 4), keep_ratio=False), dict(type='Resize', scale=(8, 4), keep_ratio=False)),
    (dict(type='Resize', img_scale=[(8, 4)]), dict(type='Resize', scale=(8, 4), keep_ratio=True)),
    (dict(type='Resize', img_scale=[(8, 4), (6, 3)], multiscale_mode='value'),
     dict(type='RandomChoiceResize', scales=[(8, 4), (6, 3)], keep_ratio=True)),
    (dict(type='Resize', img_scale=[(8, 4), (6, 3)]),
     dict(type='RandomResize', scale=[(8, 4), (6, 3)], keep_ratio=True)),
    (dict(type='Resize', img_scale=(8, 4), min_size=4), dict(type='ResizeShortestEdge', scale=4, max_size=8)),
    (dict(type='RandomFlip', flip_ratio=0.3), dict(type='RandomFlip', prob=0.3)),
    (dict(type='LoadImageFromFile', file_client_args=dict(backend='disk')), dict(type='LoadImageFromFile')),
    (dict(type='LoadImageFromFile', file_client_args=dict(backend='petrel')),
     dict(type='LoadImageFromFile', backend_args=dict(backend='petrel'))),
    (dict(type='CLAHE', clip_limit=3.), dict(type='CLAHE', clip_limit=3.)),
    (dict(type='MyOwn', option=3), dict(type='MyOwn', option=3)),
])
def test_a_transform(old, new):
    assert translate_steps([old], 'train', Prepared()) == [new]


def test_what_a_pipeline_leaves_to_the_model_and_the_data_set():
    left = Prepared()
    steps = [dict(type='LoadAnnotations', reduce_zero_label=True), NORMALIZE,
             dict(type='Pad', size=(4, 4), seg_pad_val=9), dict(type='DefaultFormatBundle'),
             dict(type='Collect', keys=['img'], meta_keys=('flip',))]
    assert translate_steps(steps, 'train', left) == [
        dict(type='LoadAnnotations'), dict(type='PackSegInputs', meta_keys=('flip',))]
    assert left.reduce_zero_label is True
    assert left.preprocessor == dict(mean=[1., 2., 3.], std=[4., 5., 6.], bgr_to_rgb=True, pad_val=0, seg_pad_val=9,
                                     size=(4, 4))


def test_views_of_an_evaluation():
    steps = [dict(type='LoadImageFromFile'), dict(
        type='MultiScaleFlipAug', img_scale=(8, 4), img_ratios=[0.5, 1.0], flip=True, flip_direction=['horizontal',
                                                                                                     'vertical'],
        transforms=[dict(type='Resize', keep_ratio=True), dict(type='ResizeToMultiple', size_divisor=32),
                    dict(type='RandomFlip'), NORMALIZE, dict(type='ImageToTensor', keys=['img']),
                    dict(type='Collect', keys=['img'])])]
    labels = dict(type='LoadAnnotations', imdecode_backend='pillow')
    single, left = translate_test(steps, labels, 'val')
    assert single == [dict(type='LoadImageFromFile'), dict(type='Resize', scale=(8, 4), keep_ratio=True),
                      dict(type='ResizeToMultiple', size_divisor=32), labels, dict(type='PackSegInputs')]
    views, multiple, flips, loading, packing = left.tta[1]['transforms']
    assert [view['scale'] for view in views] == [(4, 2), (8, 4)]
    assert [(flip['prob'], flip['direction']) for flip in flips] == [
        (0., 'horizontal'), (1., 'horizontal'), (1., 'vertical')]
    assert (multiple, loading, packing) == ([single[2]], [labels], [single[4]])
    assert translate_test(steps, None, 'val')[0] == [step for step in single if step is not labels and step != labels]


def test_an_image_of_its_own_size():
    aug = dict(type='MultiScaleFlipAug', img_scale=None, img_ratios=1.0, transforms=[
        dict(type='Resize', keep_ratio=True), dict(type='Collect', keys=['img'])])
    single, left = translate_test([aug], None, 'val')
    assert single == [dict(type='PackSegInputs')]
    assert [view['scale_factor'] for view in left.tta[0]['transforms'][0]] == [0.5, 0.75, 1.0, 1.25, 1.5, 1.75]


# ------------------------------------------------------------------------------------------------------- data sets

def one(**changes):
    return dict(type='CustomDataset', data_root='r', img_dir='i', ann_dir='a', pipeline=[], **changes)


SAME = dict(type='BaseSegDataset', data_root='r', pipeline=[])


@pytest.mark.parametrize(('old', 'new'), [
    (one(split='s.txt', classes=('x', 'y'), palette=None), dict(
        SAME, ann_file='s.txt', data_prefix=dict(img_path='i', seg_map_path='a'), metainfo=dict(classes=('x', 'y')))),
    (dict(one(), ann_dir=['a', 'b'], img_dir='i'), dict(type='ConcatDataset', datasets=[
        dict(SAME, data_prefix=dict(img_path='i', seg_map_path=name)) for name in 'ab'])),
    (one(split=['s', 't']), dict(type='ConcatDataset', datasets=[
        dict(SAME, ann_file=name, data_prefix=dict(img_path='i', seg_map_path='a')) for name in 'st'])),
    (dict(one(split=['s', 't']), img_dir=['i', 'j'], ann_dir=['a', 'b']), dict(type='ConcatDataset', datasets=[
        dict(SAME, ann_file=s, data_prefix=dict(img_path=i, seg_map_path=a)) for s, i, a in ('sia', 'tjb')])),
    ([one(), one()], dict(type='ConcatDataset', datasets=[
        dict(SAME, data_prefix=dict(img_path='i', seg_map_path='a'))] * 2)),
    (dict(type='RepeatDataset', times=3, dataset=one()), dict(type='RepeatDataset', times=3, dataset=dict(
        SAME, data_prefix=dict(img_path='i', seg_map_path='a')))),
    (dict(type='MultiImageMixDataset', dataset=one(), pipeline=[dict(type='RandomMosaic', prob=1.), NORMALIZE]), dict(
        type='MultiImageMixDataset', dataset=dict(SAME, data_prefix=dict(img_path='i', seg_map_path='a')),
        pipeline=[dict(type='RandomMosaic', prob=1.)])),
])
def test_a_data_set(old, new):
    loaders, _ = translate_data(dict(samples_per_gpu=2, workers_per_gpu=0, train=old), by_epoch=False)

    def plain(config):  # a data set that was written flat has its keys in another order
        return {key: config[key] for key in sorted(config)}
    assert plain(loaders['train_dataloader']['dataset']) == plain(new)


def test_loaders():
    data = dict(samples_per_gpu=3, workers_per_gpu=2, pin_memory=True, train=one(), val=one(), test=one(),
                val_dataloader=dict(samples_per_gpu=5), test_dataloader=dict(workers_per_gpu=0))
    loaders, _ = translate_data(data, by_epoch=True)
    found = {name: (loader['batch_size'], loader['num_workers'], loader['persistent_workers'], loader['pin_memory'],
                    loader['sampler']['type'], loader['sampler']['shuffle']) for name, loader in loaders.items()}
    assert found == {'train_dataloader': (3, 2, True, True, 'DefaultSampler', True),
                     'val_dataloader': (5, 2, True, True, 'DefaultSampler', False),
                     'test_dataloader': (1, 0, False, True, 'DefaultSampler', False)}


def test_the_reader_of_labels_and_their_zero_are_kept():
    pipeline = [dict(type='MultiScaleFlipAug', img_scale=(4, 4), transforms=[dict(type='Collect', keys=[])])]
    loading = dict(imdecode_backend='pillow', reduce_zero_label=True)
    loaders, _ = translate_data(dict(val=dict(one(gt_seg_map_loader_cfg=loading), pipeline=pipeline)), False)
    dataset = loaders['val_dataloader']['dataset']
    assert dataset['reduce_zero_label'] is True
    assert dataset['pipeline'][0] == dict(type='LoadAnnotations', imdecode_backend='pillow')


# ------------------------------------------------------------------------------------------------------- schedules

def values(config, length=60, base=0.1, suffix='LR'):
    """The learning rates (or momenta) that the translated schedulers set, one for each iteration."""
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=base, momentum=base)
    schedulers = [PARAM_SCHEDULERS.build(dict(one, optimizer=optimizer))
                  for one in Schedule(suffix, length, False).translate(config)]
    found = []
    for _ in range(length):
        found.append(optimizer.param_groups[0]['lr' if suffix == 'LR' else 'momentum'])
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    return found


# Polynomials of 1.x reach their end at the last iteration, 59 of 0 … 59; those of 0.x would have one later.
def cosine(start, end, share):
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


@pytest.mark.parametrize(('config', 'formula', 'tolerance'), [
    (dict(policy='fixed'), lambda i: 0.1, 0),
    (dict(policy='poly', power=0.9, min_lr=1e-3), lambda i: 0.099 * (1 - i / 59) ** 0.9 + 1e-3, 1e-6),
    (dict(policy='poly', power=2., warmup='linear', warmup_iters=10, warmup_ratio=0.2),
     lambda i: 0.1 * (1 - i / 59) ** 2 * (1 if i >= 10 else 1 - (1 - i / 10) * 0.8), 1e-6),
    (dict(policy='poly', warmup='constant', warmup_iters=10, warmup_ratio=0.2),
     lambda i: 0.1 * (1 - i / 59) * (1 if i >= 10 else 0.2), 1e-6),
    (dict(policy='step', step=[20, 40], gamma=0.5), lambda i: 0.1 * 0.5 ** (i // 20), 1e-6),
    (dict(policy='step', step=15), lambda i: 0.1 * 0.1 ** (i // 15), 1e-6),
    (dict(policy='exp', gamma=0.9), lambda i: 0.1 * 0.9 ** i, 1e-6),
    (dict(policy='CosineAnnealing', min_lr=0.01), lambda i: cosine(0.1, 0.01, i / 60), 1e-6),
    (dict(policy='CosineAnnealing', min_lr_ratio=0.1), lambda i: cosine(0.1, 0.01, i / 60), 1e-6),
    (dict(policy='FlatCosineAnnealing', start_percent=0.5, min_lr=0.01),
     lambda i: 0.1 if i < 30 else cosine(0.1, 0.01, (i - 30) / 30), 1e-6),
    (dict(policy='CosineRestart', periods=[20, 40], restart_weights=[1, 0.5], min_lr=0.),
     lambda i: cosine(0.1, 0., i / 20) if i < 20 else cosine(0.05, 0., (i - 20) / 40), 1e-6),
    (dict(policy='cyclic', target_ratio=(10, 1e-2), cyclic_times=1, step_ratio_up=0.4),
     lambda i: cosine(0.1, 1., i / 24) if i < 24 else cosine(1., 1e-3, (i - 24) / 36), 1e-6),
])
def test_a_schedule_has_the_values_of_0x(config, formula, tolerance):
    assert values(dict(config, by_epoch=False)) == pytest.approx([formula(i) for i in range(60)], abs=tolerance)


def test_a_warm_up_over_a_lowest_rate_is_near_that_of_0x():
    config = dict(policy='poly', power=0.9, min_lr=1e-4, by_epoch=False, warmup='linear', warmup_iters=100,
                  warmup_ratio=1e-3)
    expected = [(0.0999 * (1 - i / 1999) ** 0.9 + 1e-4) * min(1, 1e-3 + (1 - 1e-3) * i / 100) for i in range(2000)]
    assert values(config, 2000) == pytest.approx(expected, abs=1e-4)


def test_a_cyclic_momentum():
    config = dict(policy='cyclic', target_ratio=(0.85 / 0.95, 1), cyclic_times=1, step_ratio_up=0.4)
    expected = [cosine(0.95, 0.85, i / 24) if i < 24 else cosine(0.85, 0.95, (i - 24) / 36) for i in range(60)]
    assert values(config, base=0.95, suffix='Momentum') == pytest.approx(expected, abs=1e-6)


def test_a_training_by_epochs(pspnet):
    policy = dict(policy='poly', by_epoch=False, warmup='linear', warmup_iters=5, _delete_=True)
    cfg = quietly(pspnet, {'runner': dict(type='EpochBasedRunner', max_epochs=9, _delete_=True), 'lr_config': policy,
                           'evaluation.interval': 2})
    assert cfg.train_cfg == dict(type='EpochBasedTrainLoop', max_epochs=9, val_interval=2)
    assert cfg.train_dataloader.sampler.type == 'DefaultSampler'
    assert cfg.log_processor.by_epoch and cfg.default_hooks.checkpoint.by_epoch
    warm_up, poly = cfg.param_scheduler
    assert (warm_up.by_epoch, warm_up.end) == (False, 6)
    assert (poly.by_epoch, poly.end, poly.convert_to_iter_based) == (True, 9, True)


@pytest.mark.parametrize(('old', 'wrapper'), [
    (dict(fp16=dict(loss_scale=128.)), dict(type='AmpOptimWrapper', loss_scale=128.)),
    (dict(optimizer_config=dict(type='Fp16OptimizerHook', loss_scale='dynamic')),
     dict(type='AmpOptimWrapper', loss_scale='dynamic')),
    (dict(optimizer_config=dict(type='GradientCumulativeOptimizerHook', cumulative_iters=4)),
     dict(type='OptimWrapper', accumulative_counts=4)),
    (dict(optimizer=dict(type='AdamW', lr=1., paramwise_cfg=dict(norm_decay_mult=0.), constructor='Layers')),
     dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1.), paramwise_cfg=dict(norm_decay_mult=0.),
          constructor='Layers')),
])
def test_an_optimizer(old, wrapper):
    assert translate(dict(workflow=[('train', 1)], **old))['optim_wrapper'] == wrapper


def test_the_rest_of_a_config():
    cfg = translate(dict(
        model=dict(type='EncoderDecoder', decode_head=dict()), train_cfg=dict(), test_cfg=dict(mode='whole'),
        total_iters=10, resume_from='a.pth', seed=3, cudnn_benchmark=True, opencv_num_threads=2,
        log_config=dict(interval=5, hooks=[dict(type='TextLoggerHook'), dict(type='TensorboardLoggerHook')]),
        evaluation=dict(metric=['mIoU', 'cityscapes'], save_best='auto'), checkpoint_config=dict(interval=4),
        data=dict(val=one())))
    assert cfg['model']['test_cfg'] == dict(mode='whole')
    assert cfg['val_cfg'] == dict(type='ValLoop') and 'test_cfg' not in cfg
    assert (cfg['resume'], cfg['load_from'], cfg['randomness']['seed']) == (True, 'a.pth', 3)
    assert cfg['env_cfg']['cudnn_benchmark'] is True and cfg['env_cfg']['mp_cfg']['opencv_num_threads'] == 2
    assert [backend['type'] for backend in cfg['visualizer']['vis_backends']] == ['LocalVisBackend',
                                                                                 'TensorboardVisBackend']
    assert [metric['type'] for metric in cfg['val_evaluator']] == ['IoUMetric', 'CityscapesMetric']
    assert cfg['default_hooks']['checkpoint'] == dict(
        type='CheckpointHook', by_epoch=False, interval=4, save_best='mIoU')


# ------------------------------------------------------------------------------------------------------- migration

def test_the_migrated_file_is_readable_and_says_the_same(pspnet, tmp_path, capsys):
    new = tmp_path / 'new' / 'pspnet.py'
    assert main(['migrate-config', str(pspnet), str(new)]) == 0
    assert f'{new}: the config in the words of 1.x' in capsys.readouterr().out
    text = new.read_text()
    assert Config.fromfile(new).to_dict() == quietly(pspnet).to_dict()
    assert max(map(len, text.splitlines())) <= 120
    assert 'pipeline=train_pipeline' in text and 'test_dataloader = val_dataloader' in text
    assert 'norm_cfg=norm_cfg' in text and "model = dict(\n    type='EncoderDecoder',\n" in text


@pytest.mark.parametrize(('old', 'new', 'words'), [
    ('a = 1\n', 'b.py', 'is no config of 0.x'), ('lr_config = dict(policy="x")\n', 'b.py', "lr_config.policy='x'"),
    ('workflow = [("train", 1)]\n', 'b.json', 'expected another .py file'), (None, 'b.py', 'no file')])
def test_what_cannot_be_migrated(tmp_path, capsys, monkeypatch, old, new, words):
    monkeypatch.chdir(tmp_path)
    if old:
        (tmp_path / 'a.py').write_text('runner = dict(type="IterBasedRunner", max_iters=3)\n' * ('lr_' in old) + old)
    assert main(['migrate-config', 'a.py', new]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / new).exists()


def test_a_validation_workflow_is_noticed(tmp_path):
    (tmp_path / 'a.py').write_text("workflow = [('train', 1), ('val', 1)]\n")
    with pytest.warns(UserWarning, match='losses of the validation set are not computed'):
        read_config(tmp_path / 'a.py')


def test_text_of_odd_values():
    config = dict(a={1: 'x', 'b c': (1,)}, b=[], c=dict(), d='long ' * 30, e=[dict(x=list(range(60)))])
    found = {}
    exec(as_text(config, 'heading'), found)
    assert {key: found[key] for key in config} == config
    assert as_text(config, 'heading').startswith('# heading\n')
