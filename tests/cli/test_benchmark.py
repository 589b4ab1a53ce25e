import json

import pytest
import torch
from mmengine.config import Config

from mmseg.cli import benchmark, main
from mmseg.cli.common import bands_of, height_and_width
from mmseg.cli.get_flops import count
from mmseg.utils.errors import InputError


def resize(*scale):
    return Config(dict(crop_size=(512, 640), test_pipeline=[dict(type='LoadImageFromFile'),
                                                            dict(type='Resize', scale=scale, keep_ratio=True)]))


@pytest.mark.parametrize(('cfg', 'shape'), [
    (resize(2048, 1024), (1024, 2048)), (resize(512, 512), (512, 512)), (resize(2048, 512), (512, 640)),
    (Config(dict(test_pipeline=[dict(type='PackSegInputs')])), (512, 512))])
def test_images_have_the_size_that_the_config_tests_or_that_of_its_crops(cfg, shape):
    assert benchmark.test_shape(cfg) == shape


def test_checkpoints_stand_behind_their_configs(tmp_path):
    weights = tmp_path / 'b.pth'
    weights.touch()
    pairs = benchmark.pair_checkpoints(['a', 'b.py', str(weights), 'c'])
    assert pairs == [('a', None), ('b.py', str(weights)), ('c', None)]
    with pytest.raises(InputError, match='must stand behind its config'):
        benchmark.pair_checkpoints([str(weights), 'a'])
    with pytest.raises(InputError, match='no file'):
        benchmark.pair_checkpoints(['a', str(tmp_path / 'none.pth')])


def test_a_table_of_several_models(project, tmp_path, capfd):
    assert main(['benchmark', str(project), str(project), str(project.with_suffix('.pth')), '--device', 'cpu',
                 '--shape', '32', '48', '--images', '6', '--batch-size', '2', '--repeats', '2', '--log-interval', '4',
                 '--warm-up', '1', '--format', 'json', '--out', str(tmp_path / 'new' / 'speed.json')]) == 0
    said = capfd.readouterr()
    rows = json.loads(said.out)
    assert json.loads((tmp_path / 'new' / 'speed.json').read_text()) == rows
    assert len(rows) == 2
    for row in rows:
        assert (row['config'], row['shape'], row['batch'], row['device']) == ('tiny', '32x48', 2, 'cpu')
        assert row['images/s'] > 0
        assert row['ms/image'] == pytest.approx(1000 / row['images/s'], rel=0.01)
        assert row['parameters/M'] == 0.01
        assert row['peak MiB'] is None or 0 <= row['peak MiB'] < 2000
    assert said.err.count('4/6 images, ') == 4


def test_a_mistake_in_one_of_several_models_is_one_sentence(project, tmp_path, capfd):
    wrong = tmp_path / 'wrong.py'
    wrong.write_text(f"_base_ = {str(project)!r}\nmodel = dict(decode_head=dict(num_convz=3))\n")
    assert main(['benchmark', str(project), str(wrong), '--device', 'cpu', '--shape', '32', '--images', '1']) == 2
    assert 'did you mean num_convs?' in capfd.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize('switch', ['--amp', '--channels-last', '--fuse-conv-bn'])
def test_every_switch_keeps_the_labels(project, switch):
    from mmseg.apis.inference import load_model
    from mmseg.utils.config import read_config
    options = dict(fuse_conv_bn=False, channels_last=False, compile=False, amp=False)
    options[switch[2:].replace('-', '_')] = True
    batch = benchmark.random_batch((48, 64), 2, 3)
    cfg, weights = read_config(project), str(project.with_suffix('.pth'))
    plain = load_model(cfg, weights, 'cpu')
    fast = benchmark.prepare(load_model(cfg, weights, 'cpu'), type('Args', (), options))
    with torch.no_grad():
        expected = torch.stack([sample.pred_sem_seg.data for sample in plain.test_step(batch)])
        with torch.autocast('cpu', torch.bfloat16, enabled=options['amp']):
            found = torch.stack([sample.pred_sem_seg.data for sample in fast.test_step(batch)])
    assert (found == expected).float().mean() > (0.95 if options['amp'] else 0.999)
    if switch == '--fuse-conv-bn':
        assert not any(type(module) is torch.nn.BatchNorm2d for module in fast.backbone.modules())
    if switch == '--channels-last':
        assert fast.decode_head.convs[0].conv.weight.is_contiguous(memory_format=torch.channels_last)


def test_tables():
    rows = [dict(config='a', speed=1.5), dict(config='long name', speed=12)]
    assert benchmark.as_text(rows) == 'config     speed\na          1.5\nlong name  12'
    assert benchmark.as_markdown(rows) == '| config | speed |\n| --- | --- |\n| a | 1.5 |\n| long name | 12 |'


def test_the_peak_of_memory_is_measured():
    memory = benchmark.PeakMemory(torch.device('cpu'))
    if memory.before is None:
        pytest.skip('this system does not tell')
    block = torch.ones(50 << 18)
    assert memory.peak() >= 45
    del block
    assert memory.peak() >= 45


@pytest.mark.parametrize(('sides', 'size'), [([5], (5, 5)), ([4, 6], (4, 6))])
def test_one_side_is_a_square(sides, size):
    assert height_and_width(sides) == size


@pytest.mark.parametrize('sides', [[1, 2, 3], [0], [-4, 4]])
def test_other_shapes_are_refused(sides):
    with pytest.raises(InputError, match='a height and a width'):
        height_and_width(sides)


def test_bands_are_those_of_the_mean_or_the_backbone():
    assert bands_of(Config(dict(model=dict(data_preprocessor=dict(mean=[0.] * 7))))) == 7
    assert bands_of(Config(dict(model=dict(backbone=dict(in_channels=1))))) == 1
    assert bands_of(Config(dict(model={}))) == 3


def test_multiplications_are_counted(project, capsys):
    from mmseg.utils.config import read_config
    cfg = read_config(project)
    costs = count(cfg, (3, 32, 32))
    # 1/4 of 32, then stride 2: the head sees 4 x 4 pixels of 16 channels
    head = 16 * 9 * (16 * 8 + (16 + 8) * 8) + 16 * 8 * 3
    assert costs['decode_head'].flops == head
    assert costs[''].flops == costs['backbone'].flops + head
    assert count(cfg, (3, 64, 32))[''].flops == 2 * costs[''].flops
    assert main(['get-flops', str(project), '--shape', '32']) == 0
    said = capsys.readouterr().out
    assert 'Input shape: (3, 32, 32)' in said
    assert f'Params: {costs[""].parameters / 1e6:.2f} M' in said


@pytest.mark.parametrize(('arguments', 'expected'), [
    (['--mode', 'whole'], dict(mode='whole')),
    (['--mode', 'slide', '--window', '60', '90'], dict(mode='slide', crop_size=(60, 90), stride=(40, 60)))])
def test_the_mode_is_chosen(arguments, expected):
    import argparse
    parser = argparse.ArgumentParser()
    benchmark.add_arguments(parser)
    assert benchmark.test_mode(parser.parse_args(['config', *arguments])) == expected
