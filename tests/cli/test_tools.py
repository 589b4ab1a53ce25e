"""Tools around a model: what they write is compared with what is computed by hand."""
import hashlib
import json
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmseg.apis import inference_model, inference_segmentor, init_model, init_segmentor
from mmseg.apis.activations import class_activation, find_module, layer_outputs
from mmseg.cli import main
from mmseg.cli.get_flops import count
from mmseg.registry import MODELS
from mmseg.utils.checkpoint import read_checkpoint
from mmseg.utils.config import read_config
from mmseg.utils.errors import InputError
from tests.cli.tiny import CLASSES, PALETTE


@pytest.fixture(scope='module')
def model(project):
    return init_model(project, str(project.with_suffix('.pth')), 'cpu')


@pytest.fixture(scope='module')
def images(project):
    return sorted(map(str, (project.parent / 'data' / 'images' / 'part').iterdir()))


@pytest.fixture(scope='module')
def truths(project):
    return [cv2.imread(str(file), -1) for file in sorted((project.parent / 'data' / 'labels' / 'part').iterdir())]


@pytest.fixture(scope='module')
def second(project, tmp_path_factory):
    """The checkpoint of another network of the same kind."""
    checkpoint = torch.load(project.with_suffix('.pth'), weights_only=False)
    generator = torch.Generator().manual_seed(7)
    weight = checkpoint['state_dict']['decode_head.conv_seg.weight']
    checkpoint['state_dict']['decode_head.conv_seg.weight'] = torch.randn(weight.shape, generator=generator)
    path = tmp_path_factory.mktemp('second') / 'second.pth'
    torch.save(checkpoint, path)
    return path


def figures_of(folder):
    return json.loads((folder / 'confusion_matrix.json').read_text())


def counted(predictions, truths):
    """The confusion matrix of lists of labels, counted pixel by pixel."""
    matrix = np.zeros((3, 3), int)
    for labels, truth in zip(predictions, truths, strict=True):
        np.add.at(matrix, (truth[truth != 255], labels[truth != 255]), 1)
    return matrix


# ------------------------------------------------------------------------------------------------ confusion matrix

def test_the_confusion_matrix_of_a_model_and_of_its_labels(project, model, images, truths, tmp_path):
    predictions = inference_segmentor(model, images)
    expected = counted(predictions, truths)
    assert main(['confusion-matrix', str(project), str(project.with_suffix('.pth')), str(tmp_path / 'model')]) == 0
    (tmp_path / 'labels').mkdir()
    for file, labels in zip(images, predictions):
        cv2.imwrite(str(tmp_path / 'labels' / Path(file).name), labels)
    (tmp_path / 'labels.pkl').write_bytes(pickle.dumps([labels.astype(np.uint8) for labels in predictions], 2))
    for name in ('labels', 'labels.pkl'):
        assert main(['confusion-matrix', str(project), str(tmp_path / name), str(tmp_path / f'of {name}')]) == 0
    for name in ('model', 'of labels', 'of labels.pkl'):
        found = figures_of(tmp_path / name)
        assert (np.array(found['counts']) == expected).all()
        assert found['classes'] == list(CLASSES)
        assert np.allclose(found['percent'], 100 * expected / expected.sum(1, keepdims=True), atol=0.01)
        union = expected.sum(0) + expected.sum(1) - expected.diagonal()
        assert np.allclose(found['iou'], 100 * expected.diagonal() / union, atol=0.01)
        assert cv2.imread(str(tmp_path / name / 'confusion_matrix.png')).shape[0] > 200


def test_a_pickle_that_runs_code_is_refused(project, tmp_path, capsys):
    class Runs:
        def __reduce__(self):
            return Path.touch, (tmp_path / 'it-ran',)
    (tmp_path / 'evil.pkl').write_bytes(pickle.dumps([Runs()]))
    assert main(['confusion-matrix', str(project), str(tmp_path / 'evil.pkl'), str(tmp_path)]) == 2
    assert 'which is no array' in capsys.readouterr().err
    assert not (tmp_path / 'it-ran').exists()


@pytest.mark.parametrize(('content', 'words'), [
    (pickle.dumps([np.zeros((2, 2), np.uint8)]), 'holds 1 entries where the test data set has 6 images'),
    (b'no pickle', 'cannot be read as pickled labels'), (b'', 'cannot be read as pickled labels')])
def test_labels_of_another_data_set(project, tmp_path, capsys, content, words):
    (tmp_path / 'labels.pkl').write_bytes(content)
    assert main(['confusion-matrix', str(project), str(tmp_path / 'labels.pkl'), str(tmp_path)]) == 2
    assert words in capsys.readouterr().err


def test_missing_labels_and_unknown_colours(project, tmp_path, capsys):
    (tmp_path / 'empty').mkdir()
    assert main(['confusion-matrix', str(project), str(tmp_path / 'empty'), str(tmp_path)]) == 2
    assert 'write them with `mmseg test --out' in capsys.readouterr().err
    assert main(['confusion-matrix', str(project), str(tmp_path / 'empty'), str(tmp_path), '--color-theme', 'x']) == 2
    assert '--color-theme x: matplotlib has' in capsys.readouterr().err


# ---------------------------------------------------------------------------------------------------- publishing

@pytest.fixture
def training(project, tmp_path):
    """What a training leaves: weights, an optimiser, messages."""
    weights = torch.load(project.with_suffix('.pth'), weights_only=False)['state_dict']
    both = torch.arange(6.)
    content = dict(state_dict=dict(weights, shared_1=both[:3], shared_2=both[3:]), optimizer=dict(state=[1] * 9999),
                   message_hub=dict(), param_schedulers=[], meta=dict(
                       dataset_meta=dict(classes=CLASSES, palette=PALETTE), seed=3, iter=40, hook_msgs={}))
    torch.save(content, tmp_path / 'iter_40.pth')
    return tmp_path / 'iter_40.pth', content


@pytest.mark.parametrize('arguments', [['net.pth'], ['net'], ['net.safetensors'], ['net.pth', '--safetensors']])
def test_what_is_published(training, tmp_path, arguments, capsys):
    source, content = training
    assert main(['publish-model', str(source), str(tmp_path / 'new' / arguments[0]), *arguments[1:]]) == 0
    (file,) = (tmp_path / 'new').iterdir()
    assert str(file) in capsys.readouterr().out
    assert file.suffix == ('.safetensors' if 'safetensors' in ''.join(arguments) else '.pth')
    assert file.stem == f'net-{hashlib.sha256(file.read_bytes()).hexdigest()[:8]}'
    found = read_checkpoint(file)
    assert set(found) == {'state_dict', 'meta'}
    assert set(found['meta']) == {'dataset_meta', 'iter'}
    assert list(found['meta']['dataset_meta']['classes']) == list(CLASSES)
    assert found['state_dict'].keys() == content['state_dict'].keys()
    assert all(torch.equal(found['state_dict'][key], value) for key, value in content['state_dict'].items())
    assert all(value.untyped_storage().nbytes() == value.nbytes for value in found['state_dict'].values())


def test_the_same_weights_get_the_same_hash(training, tmp_path):
    for name in ('a', 'b'):
        assert main(['publish-model', str(training[0]), str(tmp_path / name / 'net.pth')]) == 0
    assert [file.name for file in (tmp_path / 'a').iterdir()] == [file.name for file in (tmp_path / 'b').iterdir()]


def test_a_failed_publication_leaves_nothing(training, tmp_path, monkeypatch):
    monkeypatch.setattr('mmseg.cli.publish_model._write_pickle', lambda weights, meta, file: file.write(b'x') / 0)
    with pytest.raises(ZeroDivisionError):
        main(['publish-model', str(training[0]), str(tmp_path / 'new' / 'net.pth')])
    assert list((tmp_path / 'new').iterdir()) == []


def test_what_is_no_checkpoint_is_not_published(tmp_path, capsys):
    torch.save(dict(a=1), tmp_path / 'a.pth')
    assert main(['publish-model', str(tmp_path / 'a.pth'), str(tmp_path / 'b.pth')]) == 2
    assert "is no checkpoint of a model: 'a' is a int" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------------- ensemble

def probabilities(model, image, flips=('plain',)):
    views = []
    for flip in flips:
        pixels = cv2.imread(image)
        logits = inference_model(model, pixels if flip == 'plain' else pixels[:, ::-1].copy()).seg_logits.data
        views.append((logits if flip == 'plain' else logits.flip(-1)).softmax(0))
    return sum(views) / len(views)


@pytest.mark.parametrize('arguments', [[], ['--tta']])
def test_an_ensemble_is_the_mean_of_probabilities(project, model, second, images, truths, tmp_path, capsys, arguments):
    first, other = str(project.with_suffix('.pth')), init_model(project, str(second), 'cpu')
    assert main(['model-ensemble', str(project), first, str(project), str(second), '--out', str(tmp_path), '--device',
                 'cpu', *arguments]) == 0
    flips = ('plain', 'flipped') if arguments else ('plain',)
    expected = [(probabilities(model, image, flips) + probabilities(other, image, flips)).argmax(0).numpy()
                for image in images]
    for image, labels in zip(images, expected):
        found = cv2.imread(str(tmp_path / Path(image).name), -1)
        assert (found == labels).mean() > 0.999  # flipping changes the order of sums
    matrix = counted(expected, truths)
    iou = 100 * matrix.diagonal() / (matrix.sum(0) + matrix.sum(1) - matrix.diagonal())
    said = capsys.readouterr().out
    assert float(said.partition('mIoU: ')[2].split()[0]) == pytest.approx(iou.mean(), abs=0.1)
    assert '6 images labelled by 2 models' in said


def test_the_older_arguments_of_an_ensemble(project, second, tmp_path):
    assert main(['model-ensemble', '--config', str(project), str(project), '--checkpoint',
                 str(project.with_suffix('.pth')), str(second), '--out', str(tmp_path), '--no-metrics', '--cfg-options',
                 'test_dataloader.dataset.data_prefix.seg_map_path=nowhere', 'test_dataloader.dataset.test_mode=True',
                 '--device', 'cpu']) == 0
    assert len(list(tmp_path.glob('*.png'))) == 6


@pytest.mark.parametrize(('arguments', 'words'), [
    (['{config}', '{weights}'], 'found 1 configs and 1 checkpoints'),
    (['{config}', '{weights}', '{config}'], 'found 2 configs and 1 checkpoints'),
    (['{config}', '{weights}', '{config}', '{weights}', '--no-metrics'], 'give --out DIR'),
    (['{config}', '{weights}', '{config}', '{weights}', '--device', 'cuda:99'], "the device 'cuda:99' is not here"),
])
def test_what_is_no_ensemble(project, capsys, arguments, words):
    names = dict(config=project, weights=project.with_suffix('.pth'))
    assert main(['model-ensemble', *(argument.format(**names) for argument in arguments)]) == 2
    assert words in capsys.readouterr().err


# --------------------------------------------------------------------------------------- test-time augmentation

SCALES = (0.75, 1.0, 1.5)


def test_augmentation_is_the_mean_of_its_views(project, model, images, truths, tmp_path):
    """Three scales, each as it is and flipped: resized, normalised, labelled and turned back by hand."""
    config = tmp_path / 'tta.py'
    config.write_text(project.read_text().replace("dict(type='TestTimeAug', transforms=[", (
        "dict(type='TestTimeAug', transforms=[[dict(type='Resize', scale_factor=scale, keep_ratio=True) "
        f"for scale in {SCALES}],")))
    assert main(['test', str(config), str(project.with_suffix('.pth')), '--tta', '--out', str(tmp_path / 'labels'),
                 '--work-dir', str(tmp_path / 'work')]) == 0
    expected = []
    for file in images:
        image = cv2.imread(file)
        total = 0
        for scale in SCALES:
            size = tuple(int(side * scale + 0.5) for side in image.shape[1::-1])
            resized = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)[..., ::-1]
            pixels = torch.from_numpy((resized.astype(np.float32) - 120) / 60).permute(2, 0, 1)[None]
            for flipped in (False, True):
                with torch.no_grad():
                    logits = model.encode_decode(pixels.flip(-1) if flipped else pixels, [{}])
                logits = logits.flip(-1) if flipped else logits
                logits = torch.nn.functional.interpolate(logits, image.shape[:2], mode='bilinear')
                total = total + logits.softmax(1)[0] / (2 * len(SCALES))
        assert torch.allclose(total.sum(0), torch.ones(()))
        expected.append(total.argmax(0).numpy())
        found = cv2.imread(str(tmp_path / 'labels' / Path(file).name), -1)
        assert (found == expected[-1]).mean() > 0.999
    matrix = counted(expected, truths)
    iou = 100 * matrix.diagonal() / (matrix.sum(0) + matrix.sum(1) - matrix.diagonal())
    figures = json.loads(next((tmp_path / 'work').glob('*/*.json')).read_text())
    assert figures['mIoU'] == pytest.approx(iou.mean(), abs=0.1)
    assert any((labels != inference_model(model, file).pred_sem_seg.data[0].numpy()).any()
               for labels, file in zip(expected, images))


# ------------------------------------------------------------------------------------------- what happens inside

def test_the_activation_of_a_class_is_that_of_the_paper(model, images):
    """A score that is linear in a layer's output has its weights as the derivative: the last convolution's."""
    output = layer_outputs(model, images[0], ['decode_head.conv_cat'])['decode_head.conv_cat']
    labels = inference_model(model, images[0]).pred_sem_seg.data
    assert set(labels.unique().tolist()) >= {0, 1}
    weights = model.decode_head.conv_seg.weight[1, :, 0, 0].detach()
    expected = torch.einsum('c,chw->hw', weights, output).relu()
    found = class_activation(model, images[0], 1, ['decode_head.conv_cat'])
    expected = expected[None, None] / expected.amax()
    expected = torch.nn.functional.interpolate(expected, (48, 64), mode='bilinear')[0, 0]
    assert torch.allclose(found, expected, atol=1e-4)


def test_several_layers_are_averaged_and_the_model_is_left_as_it_was(model, images):
    one, two = (class_activation(model, images[0], 0, [layer]) for layer in ('backbone.layer1[0]', 'backbone'))
    both = class_activation(model, images[0], 0, ['backbone.layer1[0]', 'backbone'])
    assert torch.allclose(both, (one + two) / 2, atol=1e-6)
    assert all(weight.grad is None for weight in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())


def test_pictures_of_activations(project, images, tmp_path, capsys):
    common = [images[0], str(project), str(project.with_suffix('.pth')), '--device', 'cpu']
    assert main(['visualization-cam', *common, '--category-index', 'box', '--out-file', str(tmp_path / 'a.png')]) == 0
    assert cv2.imread(str(tmp_path / 'a.png')).shape == (48, 64, 3)
    assert main(['feature-maps', *common, '--layers', 'backbone.layer1', 'backbone', '--channels', '5', '--out-dir',
                 str(tmp_path)]) == 0
    assert cv2.imread(str(tmp_path / 'backbone.layer1.png')).shape == (2 * 48, 3 * 64, 3)
    assert '8x12x16' in capsys.readouterr().out


@pytest.mark.parametrize(('arguments', 'words'), [
    (['--category-index', '3'], 'the model tells 3 classes apart, 0 to 2: ground, box, stripe'),
    (['--target-layers', 'backbone.layer9'], "no module 'backbone.layer9': the nearest are backbone.layer"),
    (['--target-layers', 'decode_head'], 'decode_head is not called by itself'),
    (['--device', 'cuda:99'], "the device 'cuda:99' is not here"),
    (['--out-file', 'x.pxg'], "'.pxg' is not a format of images"),
])
def test_what_cannot_be_shown(project, images, capsys, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    assert main(['visualization-cam', images[0], str(project), str(project.with_suffix('.pth')), *arguments]) == 2
    assert words in capsys.readouterr().err


def test_modules_are_found_by_path(model):
    assert find_module(model, 'backbone.layer1[0].conv1') is model.backbone.layer1[0].conv1
    assert find_module(model, 'model.backbone.layer1.0') is model.backbone.layer1[0]
    with pytest.raises(InputError, match='nearest are'):
        find_module(model, '')


# ------------------------------------------------------------------------------------------------- counts, trees

def test_attention_is_counted():
    """Of a transformer block on N tokens of C channels: 4 C² N for the projections, 2 N² C for attention."""
    cfg = Config(dict(model=dict(
        type='EncoderDecoder',
        backbone=dict(type='VisionTransformer', img_size=(32, 32), patch_size=8, embed_dims=12, num_layers=1,
                      num_heads=3, mlp_ratio=2, out_indices=0, with_cls_token=True, final_norm=False),
        decode_head=dict(type='FCNHead', in_channels=12, channels=12, num_convs=0, concat_input=False, num_classes=2))))
    costs = count(cfg, (3, 32, 32))
    attention = next(name for name in costs if name.endswith('layers.0.attn'))
    tokens, channels = 16 + 1, 12
    assert costs[attention].flops == 4 * channels ** 2 * tokens + 2 * tokens ** 2 * channels
    assert costs['backbone'].flops == costs[attention].flops + 2 * 2 * channels ** 2 * tokens + 3 * 64 * channels * 16
    assert costs[''].flops == costs['backbone'].flops + costs['decode_head'].flops
    assert costs['backbone'].parameters == sum(w.numel() for w in MODELS.build(cfg.model).backbone.parameters())


def test_the_table_of_costs_goes_as_deep_as_asked(project, capsys):
    assert main(['get-flops', str(project), '--shape', '32', '--depth', '2']) == 0
    lines = capsys.readouterr().out.splitlines()
    names = [line.split()[0] for line in lines[5:]]
    assert names[:3] == ['backbone', 'backbone.stem', 'backbone.layer1']
    assert {'decode_head', 'decode_head.conv_seg'} < set(names)
    assert not any(name.count('.') > 1 for name in names)


def test_the_graph_of_a_model(project, capsys):
    assert main(['print-config', str(project), '--graph']) == 0
    lines = capsys.readouterr().out.rpartition('\nEncoderDecoder: EncoderDecoder  ')[2].splitlines()
    model = MODELS.build(read_config(project).model)
    assert lines[0] == f'{sum(weight.numel() for weight in model.parameters()):,}'
    assert len(lines) == len(list(model.modules()))
    assert '   └─ conv_cat: ConvModule  1,744' in lines
    assert lines[-1] == '      └─ activate: ReLU(inplace=True)'


# ------------------------------------------------------------------------------------------------ doors of 0.x

def test_the_doors_of_0x(project, model, images, tmp_path):
    old = init_segmentor(str(project), str(project.with_suffix('.pth')), device='cpu')
    (labels,) = inference_segmentor(old, images[0])
    sample = inference_model(model, images[0])
    assert (labels == sample.pred_sem_seg.data[0].numpy()).all()
    assert len(inference_segmentor(old, images[:2])) == 2
    image = cv2.imread(images[0])
    picture = old.show_result(image, [labels], out_file=str(tmp_path / 'a.png'), opacity=1.)
    assert (picture[..., ::-1] == np.array(PALETTE, np.uint8)[labels]).all()
    assert (cv2.imread(str(tmp_path / 'a.png')) == picture).all()
    assert (model.show_result(images[0], sample, opacity=1.) == picture).all()
    assert (old.show_result(image, [labels], opacity=0.) == image).all()
    inverted = [[255 - level for level in color] for color in PALETTE]
    assert (old.show_result(image, labels, palette=inverted, opacity=1.) == 255 - picture).all()


def test_a_checkpoint_of_0x(project, images, tmp_path):
    content = torch.load(project.with_suffix('.pth'), weights_only=False)
    meta = dict(CLASSES=('a', 'b', 'c'), PALETTE=[[1, 2, 3]] * 3, mmseg_version='0.30.0', mmcv_version='1.7.0',
                config='model = dict()', epoch=1, iter=40)
    torch.save(dict(state_dict=content['state_dict'], meta=meta, optimizer=dict(state={})), tmp_path / 'old.pth',
               _use_new_zipfile_serialization=False)
    model = init_model(project, str(tmp_path / 'old.pth'), 'cpu')
    assert model.dataset_meta == dict(classes=('a', 'b', 'c'), palette=[[1, 2, 3]] * 3)
    expected = init_model(project, str(project.with_suffix('.pth')), 'cpu')
    assert (inference_segmentor(model, images[0])[0] == inference_segmentor(expected, images[0])[0]).all()


# --------------------------------------------------------------------------------------------- one clear sentence

@pytest.mark.parametrize(('content', 'name', 'words'), [
    ('a = 1\n', 'c.py', "c.py is not the config of a model: it has no model=dict(type='EncoderDecoder', …)"),
    ('text', 'c.txt', 'c.txt is not a config: expected a .py, .json or .yaml file'),
    ('{"a": 1', 'c.json', 'c.json'),
])
@pytest.mark.parametrize('command', ['train', 'test', 'get-flops', 'feature-maps', 'confusion-matrix'])
def test_a_config_that_is_not_one(project, tmp_path, monkeypatch, capsys, command, content, name, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text(content)
    weights = str(project.with_suffix('.pth'))
    rest = {'test': [weights], 'feature-maps': [name, weights], 'confusion-matrix': [weights, 'out']}.get(command, [])
    arguments = [name, *rest] if command != 'feature-maps' else ['x.png', name, weights]
    if command == 'feature-maps':
        cv2.imwrite('x.png', np.zeros((8, 8, 3), np.uint8))
    assert main([command, *arguments]) == 2
    said = capsys.readouterr().err.rpartition(f'mmseg {command}: ')[2]
    assert words in said


def test_a_palette_of_the_wrong_length(project, images, tmp_path, capsys):
    weights = torch.load(project.with_suffix('.pth'), weights_only=False)
    torch.save(weights['state_dict'], tmp_path / 'plain.pth')
    common = [images[0], '--out-dir', str(tmp_path / 'out'), '--device', 'cpu']
    assert main(['predict', str(project), str(tmp_path / 'plain.pth'), *common, '--cfg-options',
                 'test_dataloader.dataset.metainfo.palette=[[1,2,3],[4,5,6]]']) == 2
    assert '2 colours for 3 classes: give one colour for each class' in capsys.readouterr().err


@pytest.mark.parametrize('command', ['publish-model', 'feature-maps', 'confusion-matrix', 'model-ensemble', 'migrate'])
def test_an_output_folder_that_cannot_be_written(project, images, tmp_path, capsys, command):
    (tmp_path / 'file').touch()
    (tmp_path / 'old.py').write_text("workflow = [('train', 1)]\n")
    config, weights, bad = str(project), str(project.with_suffix('.pth')), str(tmp_path / 'file' / 'deep')
    line = {'publish-model': ['publish-model', weights, f'{bad}/x.pth'],
            'feature-maps': ['feature-maps', images[0], config, weights, '--out-dir', bad, '--device', 'cpu'],
            'confusion-matrix': ['confusion-matrix', config, weights, bad],
            'model-ensemble': ['model-ensemble', config, weights, config, weights, '--out', bad],
            'migrate': ['migrate-config', str(tmp_path / 'old.py'), f'{bad}/new.py']}[command]
    assert main(line) == 2
    assert f'cannot write to the folder {bad}' in capsys.readouterr().err
