"""The loss of the validation images is that of a plain forward pass, whatever the batches and the processes."""
import copy

import pytest
import torch
from mmengine.config import Config

from mmseg.engine import Runner
from mmseg.utils.checkpoint import read_checkpoint
from tests.cli.tiny import write_project
from tests.engine.processes import in_processes


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp('val_loss')
    return Config.fromfile(write_project(folder, images=5))


@pytest.fixture
def config(whole, tmp_path):
    def make(name, batch_size=1, **changes):
        made = copy.deepcopy(whole)
        made.merge_from_dict(dict(work_dir=str(tmp_path / name), experiment_name=f'{tmp_path.name}-{name}',
                                  log_level='WARNING', val_dataloader=dict(batch_size=batch_size),
                                  custom_hooks=[dict(type='ValLossHook')], **changes))
        return made

    return make


def figures(config) -> dict:
    torch.manual_seed(0)
    runner = Runner.from_cfg(config)
    runner._init_model_weights()
    torch.manual_seed(1)
    for weight in runner.model.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return runner.val(), runner


def only_figures(config) -> dict:
    return figures(config)[0]


def test_it_is_the_mean_over_the_images(config):
    found, runner = figures(config('one'))
    losses = []
    with torch.no_grad():
        for batch in runner.val_dataloader:
            data = runner.model.data_preprocessor(batch, False)
            losses.append(float(runner.model.loss(**data)['decode.loss_ce']))
    assert found['loss'] == found['decode.loss_ce'] == pytest.approx(sum(losses) / 5, abs=1e-6)
    assert len(set(losses)) == 5 and 'mIoU' in found and 'decode.acc_seg' not in found


@pytest.mark.parametrize('processes', [2, 3])
def test_any_batches_and_processes_give_it(config, processes):
    alone = only_figures(config('one'))
    assert only_figures(config('batches', batch_size=2)) == pytest.approx(alone, abs=1e-5)
    several = in_processes(processes, only_figures, config('several', launcher='pytorch'))
    assert several == [pytest.approx(alone, abs=1e-5)] * processes


def test_padding_does_not_count(config):
    alone = only_figures(config('one'))
    padded = config('padded')
    padded.model.data_preprocessor.test_cfg = dict(size_divisor=64)  # 48 x 64 becomes 64 x 64
    padded.model.backbone.out_indices = (0, 1)
    found = only_figures(padded)
    share = 48 / 64  # the mean is over all pixels, the added ones of which add nothing
    assert found['loss'] == pytest.approx(alone['loss'] * share, rel=0.05)


def test_a_checkpoint_can_be_the_one_of_lowest_loss(config, tmp_path):
    made = config('best', train_cfg=dict(max_iters=4, val_interval=2), default_hooks=dict(
        checkpoint=dict(save_best='loss', interval=2)))
    runner = Runner.from_cfg(made)
    runner.train()
    scores = runner.message_hub.get_scalar('val/loss').data[0]
    best, = (tmp_path / 'best').glob('best_loss_iter_*.pth')
    assert read_checkpoint(best)['message_hub']['runtime_info']['best_score'] == pytest.approx(min(scores))
