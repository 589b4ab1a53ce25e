"""ConvNeXt, PoolFormer, MSCAN, BEiT and MAE."""
import numpy as np
import pytest
import torch
from torch import nn

from mmseg.engine import LearningRateDecayOptimizerConstructor
from mmseg.models.backbones import BEiT, ConvNeXt, PoolFormer
from mmseg.models.backbones.beit import BEiTAttention, fit_table_with_cls
from mmseg.models.backbones.mae import MAEAttention
from mmseg.models.backbones.mscan import MSCAAttention
from mmseg.models.utils.layer_norm import LayerNorm2d
from mmseg.registry import MODELS
from tests.golden import fill, image

PLAIN = dict(embed_dims=8, num_layers=3, num_heads=2, patch_size=16)
STAGES = dict(arch=dict(depths=(1, 1, 4, 1), channels=(4, 6, 8, 10)), out_indices=(0, 1, 2, 3))


def transformer(name, side=64, **options):
    return MODELS.build(dict(PLAIN, type=name, img_size=side, **options))


def test_layer_norm_of_maps_is_that_of_places():
    norm = fill(LayerNorm2d(6))
    x = image(5, 7, channels=6)
    centred = x - x.mean(1, keepdim=True)
    expected = centred / (centred.square().mean(1, keepdim=True) + 1e-6).sqrt()
    expected = expected * norm.weight[:, None, None] + norm.bias[:, None, None]
    torch.testing.assert_close(norm(x), expected)
    torch.testing.assert_close(norm(x.permute(0, 2, 3, 1), channels_last=True), expected.permute(0, 2, 3, 1))


@pytest.mark.parametrize('wrong, message', [
    (dict(arch='nano'), "arch 'nano' is not known: choose tiny, small"), (dict(out_indices=4), '0 to 3'),
    (dict(arch=dict(depths=(1, 1), channels=(4,))), 'as many depths as channels')])
def test_convnext_says_what_it_has(wrong, message):
    with pytest.raises(ValueError, match=message):
        ConvNeXt(**wrong)


def test_convnext_says_how_small_an_image_may_be():
    with pytest.raises(ValueError, match='32 x 32 pixels at least, found 31 x 64'):
        ConvNeXt(**STAGES)(torch.zeros(1, 3, 31, 64))


@pytest.mark.parametrize('name, options', [
    ('ConvNeXt', dict(STAGES, gap_before_final_norm=False)),
    ('PoolFormer', dict(arch=dict(layers=(1,) * 4, embed_dims=(4,) * 4, layer_scale_init_value=1.))),
])
def test_frozen_stages_do_not_learn(name, options):
    model = MODELS.build(dict(options, type=f'mmpretrain.{name}', frozen_stages=1)).train()
    frozen = {key.split('.')[0] + '.' + key.split('.')[1] for key, p in model.named_parameters() if not p.requires_grad}
    assert frozen == {'ConvNeXt': {'downsample_layers.0', 'stages.0'},
                      'PoolFormer': {'patch_embed.proj', 'network.0'}}[name]


def test_poolformer_says_what_it_has():
    with pytest.raises(ValueError, match="arch 'm12' is not known: choose s12, s24"):
        PoolFormer(arch='m12')
    with pytest.raises(ValueError, match='0 to 6'):
        PoolFormer(out_indices=(0, 7))


def test_strips_of_mscan_see_a_cross_around_each_place():
    attention = MSCAAttention(1, kernel_sizes=(1, (1, 5)), paddings=(0, (0, 2)))
    for p in attention.parameters():
        nn.init.ones_(p) if p.ndim > 1 else nn.init.zeros_(p)
    x = torch.ones(1, 1, 9, 9)
    assert attention(x)[0, 0, 4, 4] == 1 + 5 * 5
    assert attention(x)[0, 0, 0, 0] == 1 + 3 * 3


@pytest.mark.parametrize('bias', ['qv_bias', True, False])
def test_attention_is_what_the_paper_writes(bias):
    attention = fill(BEiTAttention(8, 2, (2, 3), bias))
    x = image(7, 8, channels=1)[0]  # a class token and six more
    weight, offset = attention.qkv.weight, attention.qkv.bias if bias is True else torch.zeros(24)
    if bias == 'qv_bias':
        offset = torch.cat([attention.q_bias, torch.zeros(8), attention.v_bias])
    query, key, value = (x[0] @ weight.T + offset).view(7, 3, 2, 4).permute(1, 2, 0, 3)
    table = attention.relative_position_bias_table[attention.relative_position_index]  # 7 7 2
    weights = (query @ key.transpose(1, 2) / 2 + table.permute(2, 0, 1)).softmax(-1)
    expected = attention.proj((weights @ value).transpose(0, 1).reshape(1, 7, 8))
    torch.testing.assert_close(attention(x), expected)


@pytest.mark.parametrize('name', ['BEiT', 'MAE'])
def test_weights_for_another_size_of_image_are_resized(name):
    small, large = fill(transformer(name, 64)), transformer(name, (96, 128))
    result = large.load_state_dict(small.state_dict())
    assert not result.missing_keys and not result.unexpected_keys
    table, source = (m.layers[1].attn.relative_position_bias_table for m in (large, small))
    assert table.shape == (11 * 15 + 3, 2)
    torch.testing.assert_close(table[-3:], source[-3:])
    torch.testing.assert_close(table[5 * 15 + 7], source[3 * 7 + 3])  # a token and itself
    assert large.layers[0].attn.relative_position_index.max() == 11 * 15 + 2
    assert large(image(96, 128))[0].shape == (1, 8, 6, 8)


def test_resized_biases_of_a_straight_line_stay_straight_in_the_distances():
    # Distances grow by at most 1.5: 1, 2.5 and 4.75 for three steps.
    places = np.array([-4.75, -2.5, -1, 0, 1, 2.5, 4.75])
    grid = torch.as_tensor(places[:, None] + 2 * places[None], dtype=torch.float32).reshape(-1, 1)
    table = torch.cat([grid, torch.tensor([[7.], [8.], [9.]])])
    resized = fit_table_with_cls(table, torch.zeros(11 * 11 + 3, 1), (6, 6))
    line = torch.arange(-5., 6)
    torch.testing.assert_close(resized[:-3].view(11, 11), line[:, None] + 2 * line, atol=1e-3, rtol=0)
    assert resized[-3:].flatten().tolist() == [7, 8, 9]


def test_biases_that_cannot_be_resized_are_refused():
    with pytest.raises(ValueError, match=r'\(53, 4\) of the checkpoint cannot be resized to \(52, 2\): they need 2'):
        fit_table_with_cls(torch.zeros(53, 4), torch.zeros(52, 2), (4, 4))


def test_sizes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match='multiples of patch_size=16, found 40'):
        transformer('BEiT', 40)
    with pytest.raises(ValueError, match=r'64 x 64 pixels, found 96 x 64: .*crop_size=\(64, 64\)'):
        transformer('BEiT')(image(96, 64))
    with pytest.raises(ValueError, match='out_indices .* 0 to 2'):
        transformer('BEiT', out_indices=(0, 3))
    with pytest.raises(ValueError, match='embed_dims=9 cannot be shared by num_heads=2'):
        BEiT(img_size=32, embed_dims=9, num_heads=2)


def test_mae_starts_with_smaller_weights_in_deeper_layers_and_without_position_biases():
    torch.manual_seed(0)
    model = transformer('MAE', embed_dims=64)
    model.init_weights()
    stds = [layer.ffn.layers[1].weight.std().item() for layer in model.layers]
    assert stds == pytest.approx([.02 / (2 * i) ** .5 for i in (1, 2, 3)], rel=0.05)
    for layer in model.layers:
        assert isinstance(layer.attn, MAEAttention) and not layer.attn.relative_position_bias_table.any()


def test_drop_path_grows_from_layer_to_layer():
    assert [layer.drop_path.drop_prob for layer in transformer('BEiT', drop_path_rate=0.2).layers] == [0., 0.1, 0.2]


class Segmentor(nn.Module):

    def __init__(self, backbone):
        super().__init__()
        self.backbone, self.decode_head = backbone, nn.Conv2d(8, 2, 1)


@pytest.mark.parametrize('backbone, num_layers, decay_type, layers', [
    (dict(PLAIN, type='BEiT', img_size=64), 3, 'layer_wise',
     {'cls_token': 0, 'patch_embed.projection.bias': 0, 'layers.0.attn.q_bias': 1,
      'layers.1.attn.relative_position_bias_table': 2, 'layers.2.gamma_2': 3}),
    (dict(PLAIN, type='MAE', img_size=64), 3, 'layer_wise',
     {'pos_embed': 0, 'cls_token': 0, 'layers.0.attn.qkv.bias': 1, 'layers.2.ffn.layers.1.weight': 3}),
    (dict(STAGES, type='ConvNeXt'), 6, 'stage_wise',
     {'downsample_layers.3.1.weight': 0, 'stages.0.0.gamma': 1, 'stages.2.3.norm.weight': 3,
      'stages.3.0.pointwise_conv1.weight': 4, 'norm3.weight': 7}),
    (dict(STAGES, type='ConvNeXt'), 6, 'layer_wise',
     {'downsample_layers.0.0.weight': 0, 'downsample_layers.2.1.weight': 3, 'stages.2.2.gamma': 3,
      'stages.2.3.gamma': 4, 'stages.3.0.gamma': 6, 'norm0.bias': 7}),
])
def test_learning_rates_fall_layer_by_layer(backbone, num_layers, decay_type, layers):
    options = dict(num_layers=num_layers, decay_rate=0.5, decay_type=decay_type)
    wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1.0, weight_decay=0.05))
    model = Segmentor(MODELS.build(backbone))
    groups = LearningRateDecayOptimizerConstructor(wrapper, options)(model).optimizer.param_groups
    rate = {name: group['lr'] for group in groups for name in group['param_names']}
    assert set(rate) == set(dict(model.named_parameters()))
    assert rate['decode_head.weight'] == 1.0
    assert {name: rate[f'backbone.{name}'] for name in layers} == {
        name: 0.5**(num_layers + 1 - layer) for name, layer in layers.items()}
    for group in groups:
        assert {p.ndim == 1 for p in group['params']} == {group['weight_decay'] == 0}
