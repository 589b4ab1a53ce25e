"""Parameter groups as the papers have them."""
import pytest
import torch
from torch import nn

from mmseg.engine import (
    ForceDefaultOptimWrapperConstructor,
    LayerDecayOptimizerConstructor,
    LearningRateDecayOptimizerConstructor,
)
from mmseg.engine.optimizers.layer_decay_optimizer_constructor import (
    get_layer_id_for_convnext,
    get_layer_id_for_vit,
    get_stage_id_for_convnext,
)

WRAPPER = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1.0, weight_decay=0.05))


@pytest.mark.parametrize('name, layer', [
    ('backbone.cls_token', 0), ('backbone.pos_embed', 0), ('backbone.mask_token', 0),
    ('backbone.patch_embed.projection.weight', 0), ('backbone.layers.0.attn.qkv.weight', 1),
    ('backbone.layers.11.ffn.layers.1.bias', 12), ('backbone.fc_norm.weight', 13), ('decode_head.conv_seg.weight', 13),
])
def test_layers_of_a_transformer(name, layer):
    assert get_layer_id_for_vit(name, 14) == layer


@pytest.mark.parametrize('name, layer, stage', [
    ('backbone.downsample_layers.0.0.weight', 0, 0), ('backbone.downsample_layers.1.0.weight', 2, 0),
    ('backbone.downsample_layers.2.1.weight', 3, 0), ('backbone.downsample_layers.3.1.weight', 12, 0),
    ('backbone.stages.0.2.gamma', 1, 1), ('backbone.stages.1.0.norm.weight', 2, 2),
    ('backbone.stages.2.8.depthwise_conv.weight', 5, 3), ('backbone.stages.2.26.gamma', 11, 3),
    ('backbone.stages.3.0.gamma', 12, 4), ('backbone.norm3.weight', 13, 12), ('decode_head.stages.0.0.weight', 13, 12),
])
def test_layers_and_stages_of_a_convnext(name, layer, stage):
    assert get_layer_id_for_convnext(name, 12) == layer
    assert get_stage_id_for_convnext(name, 13) == stage


class Weight(nn.Module):

    def __init__(self):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.zeros(2, 2)), nn.Parameter(torch.zeros(2))


class BEiT(nn.Module):

    def __init__(self, depth: int = 3):
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, 2))
        self.patch_embed = Weight()
        self.layers = nn.ModuleList(Weight() for _ in range(depth))
        self.frozen = nn.Parameter(torch.zeros(2), requires_grad=False)


class ConvNeXt(nn.Module):

    def __init__(self):
        super().__init__()
        self.downsample_layers = nn.ModuleList(Weight() for _ in range(4))
        self.stages = nn.ModuleList(nn.ModuleList([Weight()]) for _ in range(4))


class Segmentor(nn.Module):

    def __init__(self, backbone):
        super().__init__()
        self.backbone, self.decode_head = backbone, Weight()


def groups(constructor, backbone, **options):
    optimizer = constructor(WRAPPER, options)(Segmentor(backbone)).optimizer
    return {group['group_name']: group for group in optimizer.param_groups}


def test_layer_wise_decay_of_a_transformer():
    found = groups(LearningRateDecayOptimizerConstructor, BEiT(), num_layers=3, decay_rate=0.5)
    rates = {name: group['lr'] for name, group in found.items()}
    assert rates == {
        'layer_0_decay': 0.5**4, 'layer_0_no_decay': 0.5**4, 'layer_1_decay': 0.5**3, 'layer_1_no_decay': 0.5**3,
        'layer_2_decay': 0.5**2, 'layer_2_no_decay': 0.5**2, 'layer_3_decay': 0.5, 'layer_3_no_decay': 0.5,
        'layer_4_decay': 1.0, 'layer_4_no_decay': 1.0}
    assert found['layer_0_decay']['param_names'] == ['backbone.cls_token', 'backbone.patch_embed.weight']
    assert found['layer_4_no_decay']['param_names'] == ['decode_head.bias']
    assert (found['layer_2_decay']['weight_decay'], found['layer_2_no_decay']['weight_decay']) == (0.05, 0.0)
    assert found['layer_2_decay']['lr_scale'] == 0.5**2


def test_the_older_name_does_the_same():
    with pytest.warns(DeprecationWarning, match='LearningRateDecayOptimizerConstructor'):
        older = groups(LayerDecayOptimizerConstructor, BEiT(), num_layers=3, layer_decay_rate=0.5)
    newer = groups(LearningRateDecayOptimizerConstructor, BEiT(), num_layers=3, decay_rate=0.5)
    assert {name: group['lr'] for name, group in older.items()} == {name: group['lr'] for name, group in newer.items()}


@pytest.mark.parametrize('decay_type, downsample, last_stage', [
    ('stage_wise', 0.5**13, 0.5**9), ('layer_wise', 0.5, 0.5)])
def test_decay_of_a_convnext(decay_type, downsample, last_stage):
    options = dict(num_layers=12, decay_rate=0.5, decay_type=decay_type)
    found = groups(LearningRateDecayOptimizerConstructor, ConvNeXt(), **options)
    rate = {name: group['lr'] for group in found.values() for name in group['param_names']}
    assert rate['decode_head.weight'] == 1.0
    assert (rate['backbone.downsample_layers.3.weight'], rate['backbone.stages.3.0.weight']) == (downsample, last_stage)


def test_other_backbones_have_no_layers_to_number():
    with pytest.raises(NotImplementedError, match="'stage_wise' is not defined for the backbone BEiT"):
        groups(LearningRateDecayOptimizerConstructor, BEiT(), num_layers=3, decay_rate=0.5, decay_type='stage_wise')


@pytest.mark.parametrize('forced, bias_decay', [(True, 0.0), (False, 0.05)])
def test_rules_by_kind_hold_for_named_parameters_if_forced(forced, bias_decay):
    options = dict(bias_decay_mult=0, force_default_settings=forced, custom_keys={'backbone': dict(lr_mult=0.1)})
    model = Segmentor(Weight())
    optimizer = ForceDefaultOptimWrapperConstructor(WRAPPER, options)(model).optimizer
    settings = {id(group['params'][0]): (group['lr'], group['weight_decay']) for group in optimizer.param_groups}
    assert settings[id(model.backbone.weight)] == (0.1, 0.05)
    assert settings[id(model.backbone.bias)] == (0.1, bias_decay)
    assert settings[id(model.decode_head.bias)] == (1.0, 0.0)
    assert len(settings) == 4
