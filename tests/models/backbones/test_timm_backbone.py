"""Networks of timm; where that package is not installed, only what is said then."""
import sys

import pytest
import torch
from torch import nn

from mmseg.models.backbones.timm_backbone import TIMMBackbone
from mmseg.registry import MODELS
from mmseg.utils.errors import CheckpointError, InputError
from tests.golden import image


@pytest.fixture(scope='module')
def timm():
    """The package, beside a torchvision whose compiled operators do not load."""
    hidden = 'torchvision' in sys.modules and sys.modules['torchvision'] is None
    if hidden:
        del sys.modules['torchvision']
    library = torch.library.Library('torchvision', 'FRAGMENT')
    for name in ('nms', 'qnms'):
        if not hasattr(torch.ops.torchvision, name):
            library.define(f'{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')
    yield pytest.importorskip('timm', exc_type=Exception)
    if hidden:
        sys.modules['torchvision'] = None


@pytest.mark.parametrize('name, options, channels, strides', [
    ('efficientnet_lite0', {}, (16, 24, 40, 112, 320), (2, 4, 8, 16, 32)),
    ('efficientnet_lite0', dict(output_stride=8, out_indices=(1, 4)), (24, 320), (4, 8)),
    ('vit_tiny_patch16_224', dict(img_size=64, depth=2, out_indices=(0, 1)), (192, 192), (16, 16)),
    ('swin_tiny_patch4_window7_224', dict(img_size=64, depths=(1, 1), embed_dim=24, num_heads=(1, 2),
                                          out_indices=(0, 1)), (24, 48), (4, 8)),
])
def test_features(timm, name, options, channels, strides):
    backbone = MODELS.build(dict(type='TIMMBackbone', model_name=name, pretrained=False, in_channels=4, **options))
    assert backbone.out_channels == channels and backbone.out_strides == strides
    with torch.no_grad():
        features = backbone.eval()(image(64, 64, channels=4))
    assert [tuple(feature.shape) for feature in features] == [
        (1, width, 64 // stride, 64 // stride) for width, stride in zip(channels, strides)]


def test_the_norm_layer_may_be_a_name(timm):
    backbone = TIMMBackbone('resnet10t', pretrained=False, norm_layer='BN2d')
    assert any(type(module) is nn.BatchNorm2d for module in backbone.modules())


def test_weights_come_from_a_file_with_or_without_classifier(timm, tmp_path):
    torch.manual_seed(1)
    theirs = timm.create_model('mobilenetv3_small_050', num_classes=7)
    path = tmp_path / 'theirs.pth'
    torch.save(dict(state_dict=theirs.state_dict()), path)
    backbone = TIMMBackbone('mobilenetv3_small_050', checkpoint_path=str(path))
    assert not torch.equal(backbone.timm_model.conv_stem.weight, theirs.conv_stem.weight)
    backbone.init_weights()
    own, wanted = backbone.timm_model.state_dict(), theirs.state_dict()
    assert len(own) > 100 and all(torch.equal(value, wanted[key]) for key, value in own.items())

    for name, words in (('nothing.pth', 'no checkpoint .*nothing.pth'), ('theirs.pth', 'does not hold the weights of')):
        with pytest.raises(CheckpointError, match=words):
            TIMMBackbone('efficientnet_lite0', checkpoint_path=str(tmp_path / name)).init_weights()


def test_weights_that_cannot_be_fetched(timm, monkeypatch):
    backbone = TIMMBackbone('mobilenetv3_small_050')
    create = timm.create_model

    def offline(name, pretrained=False, **kwargs):
        if pretrained:
            raise OSError('no route')
        return create(name, **kwargs)

    monkeypatch.setattr(timm, 'create_model', offline)
    with pytest.raises(CheckpointError, match=r'mobilenetv3_small_050 cannot be fetched \(OSError: no route\).*'
                                              'set checkpoint_path to a file'):
        backbone.init_weights()


def test_a_name_that_timm_does_not_have(timm):
    with pytest.raises(InputError, match="no network 'resnt50'; near to it are resnet50"):
        TIMMBackbone('resnt50')


def test_timm_is_asked_for_by_name(monkeypatch):
    monkeypatch.setitem(sys.modules, 'timm', None)
    with pytest.raises(ImportError, match='needs the package timm .*pip install timm'):
        TIMMBackbone('resnet50')
