"""DDRNet and PIDNet, whose branches keep to stride 8."""
import pytest
import torch

from mmseg.models.backbones import DDRNet, PIDNet
from mmseg.models.backbones.pidnet import Bag, LightBag, PagFM
from mmseg.models.utils import DAPPM, PAPPM
from mmseg.registry import MODELS
from tests.golden import fill, image

NETWORKS = {
    'DDRNet': dict(type='DDRNet', channels=4, ppm_channels=6),
    'PIDNet-S': dict(type='PIDNet', channels=4, ppm_channels=6, num_branch_blocks=1),
    'PIDNet-L': dict(type='PIDNet', channels=4, ppm_channels=6, num_stem_blocks=3, num_branch_blocks=2),
}
TRAINING_CHANNELS = {'DDRNet': [8, 16], 'PIDNet-S': [8, 16, 8], 'PIDNet-L': [8, 16, 8]}


def build(name, **options):
    return fill(MODELS.build(dict(NETWORKS[name], **options)))


@pytest.mark.parametrize('name', NETWORKS)
def test_evaluation_returns_the_joined_feature_alone(name):
    model = build(name).eval()
    with torch.no_grad():
        feature = model(image(65, 97))
    assert feature.shape == (1, 16, 9, 13) and feature.isfinite().all()
    assert (model.out_channels, model.out_strides) == ((16,), (8,))
    model.train()
    assert [list(f.shape) for f in model(image(65, 97, batch=2))] == [[2, c, 9, 13] for c in TRAINING_CHANNELS[name]]


@pytest.mark.parametrize('name', NETWORKS)
def test_gradient_reaches_every_parameter(name):
    model = build(name).train()
    model(image(96, 128, batch=2))[1].square().mean().backward()
    assert [key for key, p in model.named_parameters() if p.grad is None or p.grad.abs().sum() == 0] == []


@pytest.mark.parametrize('name', NETWORKS)
def test_align_corners_reaches_the_resizing(name):
    with torch.no_grad():
        apart, aligned = (build(name, align_corners=align).eval()(image(64, 96)) for align in (False, True))
    assert (apart - aligned).abs().max() > 1e-3


@pytest.mark.parametrize('name', ['DDRNet', 'PIDNet-S'])
def test_norm_cfg_reaches_every_normalisation(name):
    model = build(name, norm_cfg=dict(type='BN', eps=0.5))
    assert {m.eps for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)} == {0.5}


def test_sizes_of_pidnet_have_their_own_modules():
    small, large = build('PIDNet-S'), build('PIDNet-L')
    assert (type(small.spp), type(small.dfm), type(large.spp), type(large.dfm)) == (PAPPM, LightBag, DAPPM, Bag)
    assert [len(stage) for stage in large.p_branch_layers] == [3, 3, 1]
    assert [len(stage) for stage in large.i_branch_layers] == [2, 2, 2]
    with pytest.warns(UserWarning, match='PIDNet does not know depth: ignored'):
        PIDNet(channels=4, depth=50)


def test_convolutions_start_at_random_and_normalisations_at_one():
    model = build('PIDNet-S')
    model.init_weights()
    conv = model.stem[4][1].conv1
    assert conv.bn.weight.eq(1).all() and conv.bn.bias.eq(0).all()
    assert abs(conv.conv.weight.std() - (2 / (8 * 9))**0.5) < 0.03  # Kaiming, from the output channels


def test_pretrained_weights_come_last(tmp_path):
    donor = build('PIDNet-S')
    torch.save(donor.state_dict(), tmp_path / 'donor.pth')
    model = build('PIDNet-S', init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'donor.pth')))
    torch.nn.init.zeros_(model.diff_1.conv.weight)
    model.init_weights()
    torch.testing.assert_close(model.state_dict(), donor.state_dict())


@pytest.mark.parametrize('options', [dict(), dict(with_channel=True), dict(after_relu=True)])
def test_attention_between_detail_and_context(options):
    module = fill(PagFM(8, 4, **options)).eval()
    detail, context = image(9, 11, 2, 8), image(9, 11, 2, 8, seed=1)
    p, i = (x.relu() if options.get('after_relu') else x for x in (detail, context))
    product = module.f_p(p) * module.f_i(i)
    weight = torch.sigmoid(module.up(product) if 'with_channel' in options else product.sum(1, keepdim=True))
    torch.testing.assert_close(module(detail, context), weight * i + (1 - weight) * p)
    assert module(detail, image(3, 4, 2, 8)).shape == (2, 8, 9, 11)


@pytest.mark.parametrize('kind', [Bag, LightBag])
def test_boundaries_choose_the_detail_and_the_rest_the_context(kind):
    module = fill(kind(8, 6)).eval()
    p, i, d = (image(9, 11, 2, 8, seed=seed) for seed in range(3))
    s = d.sigmoid()
    expected = (module.conv(s * p + (1 - s) * i) if kind is Bag else
                module.f_p((1 - s) * i + p) + module.f_i(i + s * p))
    torch.testing.assert_close(module(p, i, d), expected)


@pytest.mark.parametrize('network', [DDRNet, PIDNet])
def test_mixed_precision(network):
    model = fill(network(channels=4, ppm_channels=6)).eval()
    with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
        assert model(image(64, 64)).isfinite().all()
