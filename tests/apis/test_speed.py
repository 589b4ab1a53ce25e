"""Networks that predict faster predict the same."""
import pytest
import torch
from mmengine.model.utils import revert_sync_batchnorm
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmseg.apis import speed
from mmseg.apis.speed import accelerate, fuse_conv_bn, prefers_channels_last
from mmseg.registry import MODELS
from mmseg.utils.config import read_config
from tests.golden import fill, image


def published(name):
    """A network of the zoo with weights that a batch norm shows in."""
    cfg = read_config(name).model
    cfg.pretrained = None
    return fill(revert_sync_batchnorm(MODELS.build(cfg))).eval()


def norms(model):
    return [name for name, module in model.named_modules()
            if isinstance(module, _BatchNorm) and 'auxiliary' not in name]


@torch.no_grad()
@pytest.mark.parametrize(('name', 'kept'), [
    ('fast_scnn_8xb4-160k_cityscapes-512x1024', 0), ('fcn_hr18s_4xb2-40k_cityscapes-512x1024', 0),
    ('pidnet-s_2xb6-120k_1024x1024-cityscapes', 13),  # those before a convolution
    ('erfnet_fcn_4xb4-160k_cityscapes-512x1024', 3), ('segformer_mit-b0_8xb2-160k_ade20k-512x512', 0)])
def test_logits_stay_and_norms_go(name, kept):
    model, x = published(name), image(96, 160)
    before = model(x)
    assert len(norms(model)) > kept
    accelerate(model)
    assert len(norms(model)) == kept
    assert model(x).is_contiguous(memory_format=torch.channels_last) or model(x).is_contiguous()
    change = (model(x) - before).abs().max() / before.abs().max()
    assert 0 < change < 1e-4


class Net(nn.Module):
    """A convolution whose output, in one of two ways, is needed without the norm too."""

    def __init__(self, way):
        super().__init__()
        self.backbone = nn.Conv2d(3, 4, 3, padding=1, groups=1, bias=False)
        self.norm, self.way = nn.BatchNorm2d(4), way
        self.other = nn.BatchNorm2d(4)

    def forward(self, x, mode='tensor'):
        x = self.backbone(x)
        if self.way == 'alone':
            return self.norm(x)
        return self.norm(x) + (x if self.way == 'shortcut' else self.other(x))


@torch.no_grad()
@pytest.mark.parametrize(('way', 'fused'), [('alone', True), ('shortcut', False), ('two norms', False)])
def test_a_norm_is_fused_where_nothing_else_reads_the_convolution(way, fused):
    model = fill(Net(way)).eval()
    before = model(image(8, 8))
    fuse_conv_bn(model)
    assert isinstance(model.norm, nn.Identity) == fused
    torch.testing.assert_close(model(image(8, 8)), before, rtol=1e-4, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize('convolution', [
    nn.Conv2d(4, 6, 3, groups=2), nn.Conv2d(4, 6, 3, bias=False), nn.ConvTranspose2d(4, 6, 3, groups=2),
    nn.ConvTranspose2d(4, 6, 2, bias=False)])
@pytest.mark.parametrize('affine', [False, True])
def test_fused_weights(convolution, affine):
    norm = fill(nn.BatchNorm2d(6, affine=affine)).eval()
    x = image(5, 7, batch=2, channels=4)
    expected = norm(convolution(x))
    convolution.weight, convolution.bias = speed._fused(convolution, norm)
    torch.testing.assert_close(convolution(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(('backbone', 'preferred'), [
    (dict(type='SwinTransformer'), False), (dict(type='ResNeSt', depth=50), False),
    (dict(type='MixVisionTransformer'), True), (dict(type='ResNet', depth=18), True), (dict(type='CGNet'), True)])
def test_layout_that_suits_a_backbone(backbone, preferred):
    with torch.device('meta'):
        assert prefers_channels_last(MODELS.build(backbone)) == preferred
