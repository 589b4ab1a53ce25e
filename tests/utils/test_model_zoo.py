import hashlib
import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmseg.apis import init_model
from mmseg.apis.inference import published_weights
from mmseg.cli import main
from mmseg.registry import MODELS
from mmseg.utils.config import configs_folder, find_config, known_configs
from mmseg.utils.errors import InputError
from mmseg.utils.model_zoo import published_models, successors, weights_of_config
from tests.cli.tiny import write_project

PSPNET = 'pspnet/pspnet_r50-d8_4xb2-40k_cityscapes-512x1024'


def test_the_figures_of_a_model():
    model = published_models(configs_folder())[PSPNET]
    assert (model.dataset, model.parameters, model.memory) == ('Cityscapes', 48.98, 6.1)
    assert model.metrics == {'mIoU': 77.85, 'mIoU(ms+flip)': 79.18}
    assert model.paper == ('Pyramid Scene Parsing Network', 'https://arxiv.org/abs/1612.01105')
    assert model.weights.endswith('/pspnet_r50-d8_512x1024_40k_cityscapes_20200605_003338-2966598c.pth')
    assert model.old_name == 'pspnet_r50-d8_512x1024_40k_cityscapes'


def test_the_table_speaks_of_configs_that_are_there_and_of_no_weights_twice():
    models = published_models(configs_folder())
    assert set(models) <= set(known_configs())
    weights = [model.weights for model in models.values() if model.weights]
    assert len(weights) == len(set(weights)) == 614
    assert all(address.startswith('https://') for address in weights)


@pytest.mark.parametrize('name', [
    'pspnet_r50-d8_512x1024_40k_cityscapes.py', 'fcn_unet_s5-d16_64x64_40k_drive.py',
    'fcn_m-v2-d8_512x512_160k_ade20k',
    'configs/setr/setr_mla_512x512_160k_b8_ade20k.py', 'bisenetv1_r50-d32_lr5e-3_4x4_512x512_160k_coco-stuff164k',
    'upernet_swin_base_patch4_window12_512x512_160k_ade20k_pretrain_384x384_22K',
    'fast_scnn_lr0.12_8x4_160k_cityscapes'])
def test_an_older_name_finds_its_successor(name):
    model = published_models(configs_folder())[successors(configs_folder())[Path(name).name.removesuffix('.py')]]
    assert find_config(name) == known_configs()[model.name]


def test_every_older_name_finds_its_successor(monkeypatch):
    known = known_configs()
    monkeypatch.setattr('mmseg.utils.config.known_configs', lambda: known)
    models = [model for model in published_models(configs_folder()).values() if model.old_name][::12]
    wrong = [model.old_name for model in models if find_config(f'{model.old_name}.py') != known[model.name]]
    assert wrong == []


def test_weights_that_are_not_published(tmp_path):
    assert weights_of_config(tmp_path / 'a' / 'b.py') is None
    with pytest.raises(InputError, match='no weights are published for scenes'):
        published_weights('demo/scenes')
    with pytest.raises(InputError, match='a config of no file'):
        published_weights(Config(dict(model=dict())))


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A folder of configs with one published model, whose weights lie in the cache."""
    folder = tmp_path / 'configs' / 'tiny'
    folder.mkdir(parents=True)
    write_project(folder, images=1)
    torch.manual_seed(0)
    model = MODELS.build(Config.fromfile(folder / 'tiny.py').model)
    torch.save(dict(state_dict=model.state_dict(), meta={}), tmp_path / 'weights')
    name = f'tiny-{hashlib.sha256((tmp_path / "weights").read_bytes()).hexdigest()[:8]}.pth'
    monkeypatch.setenv('MMSEG_CACHE', str(tmp_path / 'cache'))
    monkeypatch.setenv('MMSEG_OFFLINE', '1')
    monkeypatch.setattr('mmseg.utils.config.configs_folder', lambda: folder.parent)
    row = dict(Config='configs/tiny/tiny.py', Weights=f'https://nowhere.invalid/v0.5/{name}', Metrics=dict(mIoU=50.),
               Dataset='Tiny', Paper='a')
    (folder.parent / 'models.json').write_text(json.dumps(dict(Papers=dict(a='A'), Models=[row])))
    return tmp_path / 'weights', tmp_path / 'cache' / name, model


def test_a_model_takes_its_published_weights_by_name(library):
    weights, cached, trained = library
    with pytest.raises(InputError, match='MMSEG_OFFLINE forbids'):
        init_model('tiny', pretrained=True, device='cpu')
    cached.parent.mkdir()
    cached.write_bytes(weights.read_bytes())
    model = init_model('tiny', pretrained=True, device='cpu')
    key = 'decode_head.conv_seg.weight'
    assert torch.equal(model.state_dict()[key], trained.state_dict()[key])


def test_models_are_listed(library, capsys):
    assert main(['models', '--weights']) == 0
    said = capsys.readouterr().out
    assert said.split()[:8] == ['config', 'dataset', 'mIoU', 'mIoU(ms+flip)', 'parameters/M', 'memory/GB', 'weights',
                                'tiny/tiny']
    assert '1 configs, 1 with weights' in said
    assert main(['models', 'tin*', '--format', 'json', '--dataset', 'tiny']) == 0
    assert json.loads(capsys.readouterr().out)[0]['paper'] == 'A'
    assert main(['models', 'none']) == 2
    assert "no published config matches 'none'" in capsys.readouterr().err


def test_models_are_sorted(capsys):
    assert main(['models', 'pspnet_r50*ade20k', '--sort', 'mIoU', '--format', 'json']) == 0
    found = [model['metrics'].get('mIoU', -1) for model in json.loads(capsys.readouterr().out)]
    assert len(found) == 2
    assert found == sorted(found, reverse=True)
