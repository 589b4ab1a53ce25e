"""Two processes that share a Swin UPerNet out train as one process does, and their checkpoints are ordinary ones."""
import pytest
import torch
from mmengine.config import Config

from mmseg.engine import Runner
from mmseg.engine.fsdp import is_sharded
from mmseg.engine.network import blocks_of
from mmseg.registry import MODELS
from mmseg.utils.checkpoint import load_weights, read_checkpoint
from tests.cli.tiny import write_project
from tests.engine.processes import in_processes

NORM = dict(type='SyncBN')
SWIN_UPERNET = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(type='SegDataPreProcessor', mean=[120.] * 3, std=[60.] * 3, bgr_to_rgb=True, size=(32, 32)),
    backbone=dict(type='SwinTransformer', embed_dims=8, depths=(1, 1, 2, 1), num_heads=(1, 2, 2, 2), window_size=4,
                  drop_path_rate=0., pretrain_img_size=32),
    decode_head=dict(type='UPerHead', in_channels=[8, 16, 32, 64], in_index=[0, 1, 2, 3], channels=8, num_classes=3,
                     pool_scales=(1, 2), dropout_ratio=0., norm_cfg=NORM, loss_decode=dict(type='CrossEntropyLoss')),
    test_cfg=dict(mode='whole'))
SHARED_OUT = dict(launcher='pytorch', env_cfg=dict(dist_cfg=dict(backend='nccl', timeout=300)),
                  model_wrapper_cfg=dict(type='MMFullyShardedDataParallel', min_parameters=500))


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    """Return a function that makes the config of a run of four steps, two of them before the first checkpoint."""
    folder = tmp_path_factory.mktemp('fsdp')
    whole = Config.fromfile(write_project(folder, images=5))
    torch.manual_seed(0)
    model = MODELS.build(SWIN_UPERNET)
    model.init_weights()
    torch.save(dict(state_dict=model.state_dict()), folder / 'start.pth')

    def make(name, batch_size, max_iters=4, **changes):
        made = Config(whole.to_dict())
        made.merge_from_dict(dict(work_dir=str(folder / name), experiment_name=f'{name}-{max_iters}', model=None,
                                  log_level='WARNING', load_from=str(folder / 'start.pth'),
                                  train_dataloader=dict(batch_size=batch_size), train_cfg=dict(max_iters=max_iters),
                                  default_hooks=dict(logger=dict(interval=10)), visualizer=None))
        made.model = SWIN_UPERNET
        made.optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3, eps=1e-2),
                                  clip_grad=dict(max_norm=0.5))
        for key, value in changes.items():
            made[key] = value
        return made

    return make


def train(config) -> tuple[dict, bool, dict]:
    """The last checkpoint of a run, whether its network was shared out, and its figures."""
    runner = Runner.from_cfg(config)
    sharded = is_sharded(runner.model)
    runner.train()
    figures = {key: value.current() for key, value in runner.message_hub.log_scalars.items() if key == 'val/mIoU'}
    if runner.distributed:
        torch.distributed.barrier()
    checkpoint = read_checkpoint(runner.message_hub.get_info('last_ckpt'))
    return {part: _arrays(checkpoint[part]) for part in ('state_dict', 'optimizer')}, sharded, figures


def _arrays(state):
    """Tensors as arrays, which processes can hand to one another when they end."""
    if isinstance(state, dict):
        return {key: _arrays(value) for key, value in state.items()}
    return state.numpy() if isinstance(state, torch.Tensor) else state


def far(one, other) -> dict:
    """The largest difference of each array of two states, which must have the same keys."""
    assert one.keys() == other.keys()
    return {key: far(value, other[key]) if isinstance(value, dict) else float(abs(value - other[key]).max(initial=0))
            for key, value in one.items() if isinstance(value, dict) or hasattr(value, 'shape')}


def largest(distances) -> float:
    return max((largest(value) if isinstance(value, dict) else value for value in distances.values()), default=0.)


@pytest.fixture(scope='module')
def alone(config):
    return train(config('alone', batch_size=4))


@pytest.fixture(scope='module')
def together(config):
    (first, sharded, figures), (second, _, others) = in_processes(
        2, train, config('together', batch_size=2, **SHARED_OUT))
    assert sharded and figures == others
    return first, figures


def test_weights_optimiser_and_figures_are_those_of_one_process(alone, together):
    assert not alone[1] and alone[0]['state_dict'].keys() == together[0]['state_dict'].keys()
    assert largest(far(alone[0]['state_dict'], together[0]['state_dict'])) < 1e-5
    assert largest(far(alone[0]['optimizer']['state'], together[0]['optimizer']['state'])) < 1e-4
    assert together[1]['val/mIoU'] == pytest.approx(alone[2]['val/mIoU'], abs=0.2)


def test_the_checkpoint_loads_in_one_process(config, together):
    model = MODELS.build(SWIN_UPERNET)
    load_weights(model, config('together', 2).work_dir + '/iter_4.pth', strict=True)
    for name, value in model.state_dict().items():
        assert (value.numpy() == together[0]['state_dict'][name]).all(), name


def resumed(config, **changes):
    return config('half', max_iters=4, resume=True, load_from=None, **changes)


@pytest.mark.parametrize('shared_first', [True, False])
def test_one_goes_on_with_what_the_other_began(config, alone, shared_first, tmp_path):
    first, second = (dict(batch_size=2, **SHARED_OUT), dict(batch_size=4))[::1 if shared_first else -1]
    runs = [config('half', max_iters=2, **first), resumed(config, **second)]
    for run in runs:
        run.work_dir = str(tmp_path)
        found = in_processes(2, train, run)[0] if 'launcher' in run else train(run)
    assert largest(far(alone[0]['state_dict'], found[0]['state_dict'])) < 1e-5


def test_names_of_blocks():
    with torch.device('meta'):
        model = MODELS.build(SWIN_UPERNET)
    stages = {f'backbone.stages.{stage}.blocks.{number}' for stage, number in ((0, 0), (1, 0), (2, 0), (2, 1), (3, 0))}
    assert set(blocks_of(model)) == set(blocks_of(model, ['SwinBlock'])) == stages
    assert set(blocks_of(model, ['backbone.stages', 'decode_head'])) == {
        'backbone.stages.0', 'backbone.stages.1', 'backbone.stages.2', 'backbone.stages.3', 'decode_head'}
    with pytest.raises(ValueError, match="'SwinBlok' is no module .*; near are SwinBlock"):
        blocks_of(model, ['SwinBlok'])


def refusal(config) -> str:
    try:
        Runner.from_cfg(config)
    except ValueError as error:
        return str(error)
    return ''


def test_averaged_weights_are_refused(config):
    run = config('ema', batch_size=2, custom_hooks=[dict(type='EMAHook')], **SHARED_OUT)
    assert 'EMAHook keeps a second copy' in in_processes(2, refusal, run)[0]


def predicting(config) -> int:
    runner = Runner.from_cfg(config)
    runner.train()
    return runner.iter


def test_pictures_in_training_wait_for_nobody(config):
    run = config('pictures', batch_size=2, **SHARED_OUT)
    run.default_hooks.visualization = dict(type='SegVisualizationHook', train_interval=1)
    run.visualizer = dict(type='SegLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')])
    assert in_processes(2, predicting, run) == [4, 4]


def test_a_single_process_needs_no_sharing(config):
    alone = config('single', batch_size=2, **SHARED_OUT)
    alone.pop('launcher')
    assert not is_sharded(Runner.from_cfg(alone).model)
