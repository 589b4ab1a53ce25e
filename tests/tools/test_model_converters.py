"""Published weights of other projects, made here in small: each fills our network, and computes the same in it."""
import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmseg.cli.convert import main
from mmseg.registry import MODELS
from mmseg.utils.checkpoint import CheckpointError, load_weights
from mmseg.utils.config import read_config
from mmseg.utils.convert import convert, convert_file
from tests.golden import ROOT, fill, image

FOLDER = ROOT / 'tools' / 'model_converters'


def layout_of(script):
    spec = importlib.util.spec_from_file_location(script, FOLDER / f'{script}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.LAYOUT


def drawn(shapes):
    """Weights of these shapes; variances are positive."""
    generator = torch.Generator().manual_seed(0)
    return {key: torch.zeros((), dtype=torch.long) if key.endswith('tracked') else
            torch.rand(shape, generator=generator) + 0.5 if key.endswith('var') else
            torch.randn(shape, generator=generator) * 0.3 for key, shape in shapes.items()}


def norm(name, channels):
    return {**{f'{name}.{key}': (channels,) for key in ('weight', 'bias', 'running_mean', 'running_var')},
            f'{name}.num_batches_tracked': ()}


# -------------------------------------------------------------------------------------------------------------- CGNet

def cgnet_of_the_authors(classes, blocks, classifier):
    shapes = {}

    def block(name, source, width, first, size, hidden):
        half = width if first else width // 2
        joint = name if first else f'{name}.bn_prelu'
        shapes.update({
            f'{name}.conv1x1.conv.weight': (half, source, size, size), **norm(f'{name}.conv1x1.bn', half),
            f'{name}.conv1x1.act.weight': (half,), f'{name}.F_loc.conv.weight': (half, 1, 3, 3),
            f'{name}.F_sur.conv.weight': (half, 1, 3, 3), **norm(f'{joint}.bn', 2 * half),
            f'{joint}.act.weight': (2 * half,), f'{name}.F_glo.fc.0.weight': (hidden, width),
            f'{name}.F_glo.fc.0.bias': (hidden,), f'{name}.F_glo.fc.2.weight': (width, hidden),
            f'{name}.F_glo.fc.2.bias': (width,)})
        if first:
            shapes[f'{name}.reduce.conv.weight'] = (width, 2 * half, 1, 1)

    for i in range(3):
        shapes.update({f'level1_{i}.conv.weight': (32, 32 if i else 3, 3, 3), **norm(f'level1_{i}.bn', 32),
                       f'level1_{i}.act.weight': (32,)})
    shapes.update({**norm('b1.bn', 35), 'b1.act.weight': (35,)})
    for level, source, width in ((2, 35, 64), (3, 131, 128)):
        block(f'level{level}_0', source, width, True, 3, 8)
        for i in range(blocks[level - 2] - 1):
            block(f'level{level}.{i}', width, width, False, 1, 8)
        joined = {2: 131, 3: 256}[level]
        shapes.update({**norm(f'bn_prelu_{level}.bn', joined), f'bn_prelu_{level}.act.weight': (joined,)})
    shapes[f'{classifier}.conv.weight'] = (classes, 256, 1, 1)
    return drawn(shapes)


@pytest.mark.parametrize('classes, blocks, wrapper, classifier', [
    (11, (3, 21), '', 'classifier.0'), (19, (2, 3), 'module.', 'classifier.1')])
def test_cgnet(tmp_path, capsys, classes, blocks, wrapper, classifier):
    theirs = cgnet_of_the_authors(classes, blocks, classifier)
    source, destination = tmp_path / 'theirs.pth', tmp_path / 'new' / 'ours.pth'
    torch.save(dict(epoch=3, model={f'{wrapper}{key}': value for key, value in theirs.items()}), source)
    assert main('', layout_of('cgnet2mmseg'), [str(source), str(destination)]) == 0
    assert f'{len(theirs) + 1} weights of CGNet\'s authors for EncoderDecoder' in capsys.readouterr().out

    config = read_config('cgnet_fcn_1xb8-60k_camvid-480x360').model
    config.backbone.update(num_blocks=blocks)
    config.decode_head.update(num_classes=classes)
    model = MODELS.build(config)
    load_weights(model, destination, strict=True)
    ours = model.state_dict()
    assert ours.pop('decode_head.conv_seg.bias').eq(0).all()
    last = blocks[1] - 1
    for new, old in (('backbone.stem.2.activate.weight', 'level1_2.act.weight'),
                     ('backbone.norm_prelu_0.0.running_mean', 'b1.bn.running_mean'),
                     ('backbone.level1.0.bottleneck.weight', 'level2_0.reduce.conv.weight'),
                     ('backbone.level1.1.f_sur.weight', 'level2.0.F_sur.conv.weight'),
                     (f'backbone.level2.{last}.activate.weight', f'level3.{last - 1}.bn_prelu.act.weight'),
                     (f'backbone.level2.{last}.f_glo.fc.2.bias', f'level3.{last - 1}.F_glo.fc.2.bias'),
                     ('backbone.norm_prelu_2.1.weight', 'bn_prelu_3.act.weight'),
                     ('decode_head.conv_seg.weight', f'{classifier}.conv.weight')):
        torch.testing.assert_close(ours[new], theirs[old], rtol=0, atol=0)


# -------------------------------------------------------------------------------------------------------- MobileNetV3

def mobilenet_v3_of_torchvision(model, prefix, head):
    """The weights of our network under torchvision's names, which number the parts of a block."""
    theirs = {}

    def conv_and_norm(ours, name):
        theirs[f'{name}.0.weight'] = ours.conv.weight
        theirs.update({f'{name}.1.{key}': value for key, value in ours.bn.state_dict().items()})

    *blocks, last = [getattr(model, f'layer{i}') for i in range(len(model.layers))]
    conv_and_norm(blocks[0], f'{prefix}0')
    for i, block in enumerate(blocks[1:], 1):
        parts = [getattr(block, name) for name in ('expand_conv', 'depthwise_conv', 'se', 'linear_conv')
                 if hasattr(block, name)]
        for j, part in enumerate(parts):
            name = f'{prefix}{i}.block.{j}'
            if hasattr(part, 'conv1'):
                theirs.update({f'{name}.fc{k}.{key}': value for k in (1, 2)
                               for key, value in getattr(part, f'conv{k}').conv.state_dict().items()})
            else:
                conv_and_norm(part, name)
    conv_and_norm(last, f'{prefix}{len(blocks)}')
    return {**theirs, **{key: torch.ones(2, 3) for key in head}}


@pytest.mark.parametrize('arch, prefix, head', [
    ('small', 'features.', ['classifier.0.weight', 'classifier.3.bias']),
    ('large', 'backbone.', ['classifier.cbr.0.weight', 'aux_classifier.4.bias']),
    ('large', 'model.backbone.', ['model.classifier.scale.1.weight']),
])
def test_mobilenet_v3(arch, prefix, head):
    model = fill(MODELS.build(dict(type='MobileNetV3', arch=arch)))
    theirs = mobilenet_v3_of_torchvision(model, prefix, head)
    converted = convert(theirs, layout_of('mobilenetv3_torchvision2mmseg'))
    assert converted.target['arch'] == arch and converted.left_out == head
    torch.testing.assert_close(converted.weights, dict(model.state_dict()), rtol=0, atol=0)


# ----------------------------------------------------------------------------------------------- TensorFlow's DeepLabV3

STAGES = [  # blocks, channels in the file, stride, dilations
    (2, 12, 2, (1, 1)), (3, 16, 2, (1, 1, 1)), (4, 32, 1, (1, 2, 2, 2)), (3, 48, 1, (2, 2, 2)), (3, 80, 1, (2, 4, 4)),
    (1, 160, 1, (4,))]


def deeplab_operations():
    rng = np.random.default_rng(0)
    arrays = {}

    def add(number, out, size, source):
        fan_in = size * size * (source if out > 1 or size == 1 else 1)
        arrays[f'{number}.w'] = rng.normal(0, (2 / fan_in)**0.5, (out, size, size, source)).astype(np.float32)
        arrays[f'{number}.b'] = rng.normal(0, 0.2, source if out == 1 and size == 3 else out).astype(np.float32)

    add(0, 16, 3, 3)
    add(1, 1, 3, 16)
    add(2, 8, 1, 16)
    number, source = 3, 8
    for blocks, width, _, _ in STAGES:
        for block in range(blocks):
            add(number, 6 * source, 1, source)
            add(number + 1, 1, 3, 6 * source)
            add(number + 2, width, 1, 6 * source)
            number, source = number + 3 + (block > 0), width
    for number, shape in ((62, (256, 1, 160)), (64, (256, 1, 160)), (66, (256, 1, 512)), (67, (21, 1, 256))):
        add(number, *shape)
    return arrays


def deeplab_logits(arrays, x):
    """The graph, operation by operation."""
    def conv(number, x, depthwise=False, stride=1, dilation=1, activation=F.relu6):
        weight = torch.from_numpy(arrays[f'{number}.w']).permute((3, 0, 1, 2) if depthwise else (0, 3, 1, 2))
        x = F.conv2d(x, weight, torch.from_numpy(arrays[f'{number}.b']), stride, weight.shape[-1] // 2 * dilation,
                     dilation, len(weight) if depthwise else 1)
        return activation(x) if activation else x

    x = conv(2, conv(1, conv(0, x, stride=2), depthwise=True), activation=None)
    number = 3
    for blocks, _, stride, dilations in STAGES:
        for block in range(blocks):
            hidden = conv(number + 1, conv(number, x), True, stride if block == 0 else 1, dilations[block])
            out = conv(number + 2, hidden, activation=None)
            x, number = x + out if block else out, number + 3 + (block > 0)
    whole = conv(62, x.mean((2, 3), keepdim=True), activation=F.relu).expand(-1, -1, *x.shape[2:])
    joined = conv(66, torch.cat([whole, conv(64, x, activation=F.relu)], 1), activation=F.relu)
    return conv(67, joined, activation=None)


@torch.no_grad()
def test_deeplabv3_of_tensorflow(tmp_path):
    arrays = deeplab_operations()
    np.savez(tmp_path / 'ops.npz', **arrays)
    convert_file(tmp_path / 'ops.npz', tmp_path / 'ours.pth', layout_of('deeplabv3_mobilenetv2_tf2mmseg'))
    model = MODELS.build(read_config('mobilenet-v2-x0.5-d8_deeplabv3-tf_4xb4-20k_voc12-257x257').model).eval()
    load_weights(model, tmp_path / 'ours.pth', strict=True)
    x = image(65, 65)
    ours, theirs = model.decode_head(model.backbone(x)), deeplab_logits(arrays, x)
    assert theirs.shape == (1, 21, 9, 9)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4 * float(theirs.std()))


# -------------------------------------------------------------------------------------------------------- every script

def test_a_file_of_another_layout_is_refused():
    scripts = {script: layout_of(script) for script in sorted(path.stem for path in FOLDER.glob('*.py'))}
    assert len(scripts) >= 3
    stranger = drawn({'tower.0.mix.weight': (12, 4), 'tower.0.mix.bias': (12,)})
    for layout in scripts.values():
        with pytest.raises(CheckpointError, match=r'2 of its weights are not known: tower\.0\.mix\.weight, '):
            convert(stranger, layout)


@pytest.mark.parametrize('script', sorted(path.name for path in FOLDER.glob('*.py')))
def test_help_gives_an_example(script):
    shown = subprocess.run([sys.executable, FOLDER / script, '--help'], capture_output=True, text=True, check=True)
    assert f'python tools/model_converters/{script} ' in shown.stdout and 'SRC DST' in shown.stdout
    assert not Path('SRC').exists()
