import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mmseg.cli import main
from mmseg.cli.common import parse_options
from mmseg.cli.train import scale_learning_rate, use_mixed_precision
from mmseg.utils.config import read_config
from mmseg.utils.errors import InputError
from tests.cli.tiny import PALETTE

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope='module')
def trained(project, tmp_path_factory):
    """The work folder of a training of two iterations."""
    folder = tmp_path_factory.mktemp('work')
    assert main(['train', str(project), '--work-dir', str(folder), '--seed', '3', '--cfg-options',
                 'train_dataloader.batch_size=3', 'optim_wrapper.optimizer.lr=0.01']) == 0
    return folder


@pytest.fixture
def evaluate(project, trained, tmp_path):
    """Test the trained network with further arguments; returns the figures."""
    def run(*arguments):
        work = tmp_path / f'work{len(list(tmp_path.iterdir()))}'
        assert main(['test', str(project), str(trained / 'iter_2.pth'), '--work-dir', str(work),
                     *map(str, arguments)]) == 0
        figures = sorted(work.glob('*/*.json'))
        return json.loads(figures[0].read_text()) if figures else {}
    return run


def predicted(project, trained):
    from mmseg.apis import inference_model, init_model
    model = init_model(project, str(trained / 'iter_2.pth'), 'cpu')
    files = sorted((project.parent / 'data' / 'images' / 'part').iterdir())
    return [sample.pred_sem_seg.data[0].numpy() for sample in inference_model(model, list(map(str, files)))]


def mean_iou(predictions, project):
    files = sorted((project.parent / 'data' / 'labels' / 'part').iterdir())
    both = union = np.zeros(3)
    for labels, file in zip(predictions, files):
        truth = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        kept = truth != 255
        for array in (both, union):
            assert array.shape == (3,)
        both = both + [((labels == c) & (truth == c))[kept].sum() for c in range(3)]
        union = union + [((labels == c) | (truth == c))[kept].sum() for c in range(3)]
    return 100 * (both / union).mean()


def test_training_leaves_a_checkpoint_a_log_and_the_whole_config(trained):
    checkpoint = torch.load(trained / 'iter_2.pth', weights_only=False)
    assert checkpoint['meta']['iter'] == 2
    cfg = read_config(trained / 'tiny.py')
    assert cfg.train_dataloader.batch_size == 3
    assert cfg.optim_wrapper.optimizer.lr == 0.01
    assert cfg.randomness.seed == 3
    assert 'mIoU' in next(trained.glob('*/*.log')).read_text()


def test_a_training_goes_on_where_it_stopped(project, trained, tmp_path):
    first = tmp_path / 'first'
    first.mkdir()
    (first / 'iter_2.pth').write_bytes((trained / 'iter_2.pth').read_bytes())
    (first / 'last_checkpoint').write_text(str(first / 'iter_2.pth'))
    longer = ['--no-validate', '--cfg-options', 'train_cfg.max_iters=4', 'train_dataloader.batch_size=3',
              'optim_wrapper.optimizer.lr=0.01', 'default_hooks.checkpoint.interval=4', 'train_cfg.val_interval=4']
    assert main(['train', str(project), '--work-dir', str(first), '--resume', '--seed', '3', *longer]) == 0
    second = tmp_path / 'second'
    assert main(['train', str(project), '--work-dir', str(second), '--seed', '3', '--resume',
                 str(trained / 'iter_2.pth'), *longer]) == 0
    states = [torch.load(folder / 'iter_4.pth', weights_only=False) for folder in (first, second)]
    assert [state['meta']['iter'] for state in states] == [4, 4]
    weights = [state['state_dict']['decode_head.conv_seg.weight'] for state in states]
    assert torch.equal(*weights)
    before = torch.load(trained / 'iter_2.pth', weights_only=False)['state_dict']['decode_head.conv_seg.weight']
    assert not torch.equal(weights[0], before)


def test_the_figures_are_those_of_the_predictions(evaluate, project, trained):
    assert evaluate()['mIoU'] == pytest.approx(mean_iou(predicted(project, trained), project), abs=0.01)


def test_labels_are_written_as_png_and_as_a_pickled_list(evaluate, project, trained, tmp_path):
    expected = predicted(project, trained)
    evaluate('--out', tmp_path / 'labels')
    for number, labels in enumerate(expected):
        assert np.array_equal(cv2.imread(str(tmp_path / 'labels' / f'{number}.png'), cv2.IMREAD_UNCHANGED), labels)
    figures = evaluate('--out', tmp_path / 'labels.pkl')
    assert 'mIoU' in figures
    dumped = pickle.loads((tmp_path / 'labels.pkl').read_bytes())
    assert all(np.array_equal(ours, labels) for ours, labels in zip(dumped, expected, strict=True))


def test_metrics_can_be_named(evaluate):
    assert {'mIoU', 'mDice'} <= set(evaluate('--eval', 'mIoU', 'mDice'))


def test_only_labels_are_written_where_the_truth_is_secret(evaluate, project, trained, tmp_path):
    figures = evaluate('--format-only', '--eval-options', f'imgfile_prefix={tmp_path / "labels"}',
                       'efficient_test=True', '--cfg-options',
                       'test_dataloader.dataset.data_prefix.seg_map_path=nowhere')
    assert 'mIoU' not in figures
    assert np.array_equal(cv2.imread(str(tmp_path / 'labels' / '3.png'), cv2.IMREAD_UNCHANGED),
                          predicted(project, trained)[3])


def test_pictures_show_image_truth_and_prediction_in_the_folders_of_the_images(evaluate, project, trained, tmp_path):
    # a visualizer lives as long as its process, so a new alpha needs a new name here
    evaluate('--show-dir', tmp_path / 'pictures', '--opacity', '1', '--cfg-options', 'visualizer.name=opaque')
    pictures = sorted((tmp_path / 'pictures').rglob('*.png'))
    assert pictures == [tmp_path / 'pictures' / 'part' / f'{number}.png' for number in range(6)]
    picture = cv2.imread(str(pictures[2]))[..., ::-1]
    wide = 64 * 5
    assert picture.shape[1] == 3 * wide + 2 * 4
    head = next(y for y in range(60) if (picture[y, :wide] != 255).all())
    panel = picture[head + 2:head + 240:5, 2 * (wide + 4) + 2::5]
    assert np.array_equal(panel, np.array(PALETTE, np.uint8)[predicted(project, trained)[2]])


def test_test_time_augmentation_averages_views(evaluate, project, trained):
    plain, augmented = evaluate()['mIoU'], evaluate('--tta')['mIoU']
    assert plain != augmented
    assert augmented == pytest.approx(plain, abs=15)


def test_the_data_can_lie_elsewhere(evaluate, project, tmp_path):
    os.symlink(project.parent / 'data', tmp_path / 'elsewhere')
    cfg = tmp_path / 'moved.py'
    cfg.write_text(project.read_text().replace(str(project.parent / 'data'), '/nowhere'))
    assert main(['test', str(cfg), str(project.with_suffix('.pth')), '--work-dir', str(tmp_path / 'w'),
                 '--data-root', str(tmp_path / 'elsewhere')]) == 0


def test_predict_writes_labels_and_pictures(project, trained, tmp_path, capsys):
    images = project.parent / 'data' / 'images' / 'part'
    assert main(['predict', str(project), str(trained / 'iter_2.pth'), str(images), str(images / '0.png'),
                 '--out-dir', str(tmp_path), '--batch-size', '4', '--device', 'cpu']) == 0
    assert '7 images labelled' in capsys.readouterr().out
    expected = predicted(project, trained)
    for number in range(6):
        assert np.array_equal(cv2.imread(str(tmp_path / 'pred' / f'{number}.png'), -1), expected[number])
        assert (tmp_path / 'vis' / f'{number}.jpg').is_file()


def test_two_processes_on_the_cpu_give_the_figures_of_one(evaluate, project, trained, tmp_path):
    done = subprocess.run(
        ['bash', 'tools/dist_test.sh', project, trained / 'iter_2.pth', '2', '--work-dir', tmp_path / 'two',
         '--out', tmp_path / 'two.pkl'], cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, 'PATH': f'{Path(sys.executable).parent}:{os.environ["PATH"]}', 'PORT': '29517',
             'CUDA_VISIBLE_DEVICES': '-1', 'OMP_NUM_THREADS': '1'})
    assert done.returncode == 0, done.stderr
    figures = json.loads(next((tmp_path / 'two').glob('*/*.json')).read_text())
    assert figures['mIoU'] == pytest.approx(evaluate()['mIoU'], abs=1e-6)
    dumped = pickle.loads((tmp_path / 'two.pkl').read_bytes())
    assert all(np.array_equal(ours, labels) for ours, labels in zip(dumped, predicted(project, trained), strict=True))


def test_image_demo(project, trained, tmp_path):
    done = subprocess.run(
        [sys.executable, 'demo/image_demo.py', project.parent / 'data' / 'images' / 'part' / '0.png', project,
         trained / 'iter_2.pth', '--device', 'cpu', '--opacity', '1', '--out-file', tmp_path / 'out.png'],
        cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    expected = np.array(PALETTE, np.uint8)[predicted(project, trained)[0]]
    assert np.array_equal(cv2.imread(str(tmp_path / 'out.png'))[..., ::-1], expected)


def test_options_are_read_as_values():
    assert parse_options(['a.b=1', 'c=[x,2]', 'd=(1.5,True)', 'e=text=more', 'f=None']) == {
        'a.b': 1, 'c': ['x', 2], 'd': (1.5, True), 'e': 'text=more', 'f': None}


def test_mixed_precision_replaces_the_wrapper(project):
    cfg = read_config(project)
    use_mixed_precision(cfg)
    assert cfg.optim_wrapper.type == 'AmpOptimWrapper'
    assert cfg.optim_wrapper.loss_scale == 'dynamic' and 'dtype' not in cfg.optim_wrapper
    use_mixed_precision(cfg, 'bfloat16')
    assert cfg.optim_wrapper.dtype == 'bfloat16'
    cfg.optim_wrapper.type = 'ApexOptimWrapper'
    with pytest.raises(InputError, match='ApexOptimWrapper'):
        use_mixed_precision(cfg)


def test_switches_of_a_training_reach_the_config(project, tmp_path, monkeypatch):
    seen = []

    class Recorder:
        def train(self):
            pass

    monkeypatch.setattr('mmseg.cli.common.build_runner', lambda cfg: seen.append(cfg) or Recorder())
    train = ['train', str(project), '--work-dir', str(tmp_path)]
    assert main([*train, '--compile', '--channels-last', '--recompute', '--fsdp', '--accumulate', '4', '--amp-dtype',
                 'float16', '--cfg-options', 'activation_checkpointing=[backbone.layer2]']) == 0
    cfg, = seen
    assert cfg.compile is cfg.channels_last is True and cfg.activation_checkpointing == ['backbone.layer2']
    assert cfg.model_wrapper_cfg == dict(type='MMFullyShardedDataParallel')
    assert (cfg.optim_wrapper.accumulative_counts, cfg.optim_wrapper.dtype) == (4, 'float16')
    assert main(train) == 0
    assert not {'compile', 'channels_last', 'activation_checkpointing', 'model_wrapper_cfg'} & set(seen[1])
    assert main([*train, '--accumulate', '0']) == 2


def test_a_cpu_trains_in_bf16_with_every_switch(project, tmp_path):
    assert main(['train', str(project), '--work-dir', str(tmp_path), '--amp', '--channels-last', '--recompute',
                 '--accumulate', '2', '--auto-scale-lr', '--cfg-options', 'auto_scale_lr.base_batch_size=8',
                 'optim_wrapper.optimizer.lr=0.04']) == 0
    checkpoint = torch.load(tmp_path / 'iter_2.pth', weights_only=False)
    assert checkpoint['optimizer']['param_groups'][0]['initial_lr'] == pytest.approx(0.02)
    assert {value.dtype for value in checkpoint['state_dict'].values()} == {torch.float32, torch.int64}


@pytest.mark.parametrize(('name', 'given', 'size'), [
    ('net_4xb2-40k_data-64x64.py', {}, 8), ('net.py', dict(base_batch_size=16), 16)])
def test_the_base_batch_size_is_given_or_in_the_name(tmp_path, name, given, size):
    (tmp_path / name).write_text(f'auto_scale_lr = {given}' if given else 'a = 1')
    cfg = read_config(tmp_path / name)
    scale_learning_rate(cfg)
    assert cfg.auto_scale_lr == dict(base_batch_size=size, enable=True)
