import copy

import pytest
import torch
from torch import nn

from mmseg.models.backbones import HRNet
from mmseg.models.backbones.hrnet import HRModule
from mmseg.models.backbones.resnet import BasicBlock, Bottleneck
from tests.golden import fill, image


def extra(widths=(4, 8, 12, 16), modules=1, blocks=1, base=4):
    """The stages of a small HRNet."""
    stages = {'stage1': dict(num_modules=1, num_branches=1, block='BOTTLENECK', num_blocks=(1,), num_channels=(base,))}
    for n in (2, 3, 4):
        stages[f'stage{n}'] = dict(num_modules=modules, num_branches=n, block='BASIC', num_blocks=(blocks,) * n,
                                   num_channels=tuple(widths[:n]))
    return stages


def published(width, blocks, modules):
    """HRNetV2-W18 and its kin; `blocks` also in the one module of stage 1, whose width is 64."""
    stages = extra([width * 2**i for i in range(4)], blocks=blocks, base=64)
    stages['stage1']['num_blocks'] = (blocks,)
    for n, count in zip((2, 3, 4), modules):
        stages[f'stage{n}']['num_modules'] = count
    return stages


@pytest.mark.parametrize('width, blocks, modules, parameters', [
    (18, 2, (1, 3, 2), 3_860_720), (18, 4, (1, 4, 3), 9_562_260), (48, 4, (1, 4, 3), 65_325_120)])
def test_number_of_parameters(width, blocks, modules, parameters):
    with torch.device('meta'):
        model = HRNet(published(width, blocks, modules))
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert model.out_channels == tuple(width * 2**i for i in range(4))


@pytest.mark.parametrize('size', [(64, 96), (65, 97), (7, 9), (1, 1)])
@pytest.mark.parametrize('multiscale', [True, False])
def test_branches_have_the_published_channels_and_strides(size, multiscale):
    model = fill(HRNet(extra(modules=2), multiscale_output=multiscale)).eval()
    features = model(image(*size))
    assert tuple(f.shape[1] for f in features) == model.out_channels == ((4, 8, 12, 16) if multiscale else (4,))
    assert [tuple(f.shape[2:]) for f in features] == [
        tuple(-(-side // stride) for side in size) for stride in model.out_strides]


@pytest.mark.parametrize('multiscale', [True, False])
def test_gradient_reaches_every_parameter(multiscale):
    model = fill(HRNet(extra(modules=2), multiscale_output=multiscale)).train()
    sum(f.square().mean() for f in model(image(64, 96, 2))).backward()
    assert [key for key, p in model.named_parameters() if p.grad is None or p.grad.abs().sum() == 0] == []


def test_finest_branch_is_the_same_with_and_without_the_others():
    several, one = (fill(HRNet(extra(), multiscale_output=flag)).eval() for flag in (True, False))
    torch.testing.assert_close(one(image(65, 97))[0], several(image(65, 97))[0])


def test_a_module_adds_up_what_its_branches_found():
    module = fill(HRModule(2, BasicBlock, (1, 1), (6, 6), (4, 8))).eval()
    fine, coarse = (branch(x) for branch, x in zip(module.branches, (image(9, 11, 1, 6), image(5, 6, 1, 6))))
    (_, up), (down, _) = module.fuse_layers
    conv, norm = up[0], up[1]
    enlarged = nn.functional.interpolate(norm(conv(coarse)), scale_factor=2, mode='bilinear')
    enlarged = nn.functional.interpolate(enlarged, (9, 11), mode='bilinear')  # twice 5 x 6 is a pixel too much
    out = module([image(9, 11, 1, 6), image(5, 6, 1, 6)])
    torch.testing.assert_close(out[0], (fine + enlarged).relu())
    torch.testing.assert_close(out[1], (coarse + down(fine)).relu())
    assert isinstance(module.branches[0][0].downsample, nn.Sequential)  # from 6 channels to 4


def test_a_single_branch_is_its_blocks():
    module = fill(HRModule(1, Bottleneck, (2,), (16,), (4,))).eval()
    x = image(9, 11, 1, 16)
    assert torch.equal(module([x])[0], module.branches[0](x))


def test_a_branch_may_change_its_width_from_stage_to_stage():
    stages = extra()
    stages['stage4'] = dict(stages['stage4'], num_channels=(5, 8, 12, 16))
    model = fill(HRNet(stages)).eval()
    assert [tuple(f.shape[1:]) for f in model(image(64, 64))] == [(5, 16, 16), (8, 8, 8), (12, 4, 4), (16, 2, 2)]


def test_checkpointing_changes_nothing():
    plain, saving = (fill(HRNet(extra(), with_cp=flag)).train() for flag in (False, True))
    for model in (plain, saving):
        sum(f.square().mean() for f in model(image(64, 64, 2))).backward()
    for (key, a), b in zip(plain.named_parameters(), saving.parameters()):
        torch.testing.assert_close(a.grad, b.grad, msg=key)


def test_frozen_stages_neither_learn_nor_change_mode():
    model = HRNet(extra(), frozen_stages=2).train()
    frozen = {key.partition('.')[0] for key, p in model.named_parameters() if not p.requires_grad}
    assert frozen == {'conv1', 'bn1', 'conv2', 'bn2', 'layer1', 'transition1', 'stage2', 'transition2'}
    assert not model.stage2.training and model.stage3.training
    whole = HRNet(extra(), frozen_stages=4).train()
    assert not any(p.requires_grad for p in whole.parameters())
    held = HRNet(extra(), norm_eval=True).train()
    assert held.training and not any(m.training for m in held.modules() if isinstance(m, nn.BatchNorm2d))


@pytest.mark.parametrize('zero', [True, False])
def test_new_blocks_start_as_the_identity_where_asked_to(zero):
    model = HRNet(extra(), zero_init_residual=zero)
    model.init_weights()
    x = image(9, 11, channels=4).relu()
    assert torch.equal(model.stage2[0].branches[0](x), x) is zero


@pytest.mark.parametrize('change, words', [
    (lambda e: e.pop('stage3'), 'stage3 is missing'),
    (lambda e: e['stage3'].update(num_blocks=(1, 1)), r'num_branches must be 3.*found 3, \[1, 1\] and \[4, 8, 12\]'),
    (lambda e: e['stage2'].update(num_branches=3), 'stage2 has 2 branches.*found 3'),
    (lambda e: e['stage4'].update(block='PLAIN'), "block of stage4 must be one of .*found 'PLAIN'"),
])
def test_stages_that_do_not_fit_are_refused(change, words):
    stages = copy.deepcopy(extra())
    change(stages)
    with pytest.raises(ValueError, match=words):
        HRNet(stages)


def test_a_module_needs_a_number_for_each_branch():
    with pytest.raises(ValueError, match=r'num_branches=2 needs as many num_channels, found \[4\]'):
        HRModule(2, BasicBlock, (1, 1), (4, 8), (4,))


def test_weights_are_named_once():
    with pytest.raises(ValueError, match='keep one'):
        HRNet(extra(), pretrained='a', init_cfg=dict(type='Pretrained', checkpoint='b'))
    assert HRNet(extra(), pretrained='a').init_cfg == dict(type='Pretrained', checkpoint='a')
