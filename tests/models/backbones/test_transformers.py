"""MiT, ViT, Swin and Twins."""
import pytest
import torch

from mmseg.models.backbones import SVT, MixVisionTransformer, SwinTransformer, VisionTransformer
from mmseg.models.backbones.mit import EfficientMultiheadAttention
from mmseg.models.backbones.swin import ShiftWindowMSA, WindowMSA
from mmseg.models.backbones.twins import LocallyGroupedSelfAttention
from mmseg.registry import MODELS
from tests.golden import fill, image

STAGES = dict(num_heads=(1, 2, 2, 4), depths=(1, 1, 2, 1))
TWINS = dict(embed_dims=(4, 8, 8, 12), mlp_ratios=(2, 2, 2, 2), sr_ratios=(4, 2, 2, 1), **STAGES)
NETWORKS = {
    'MiT': dict(type='MixVisionTransformer', embed_dims=4, num_layers=(1, 1, 1, 1), num_heads=(1, 2, 2, 4)),
    'ViT': dict(type='VisionTransformer', img_size=64, embed_dims=16, num_layers=3, num_heads=2, out_indices=(0, -1)),
    'Swin': dict(type='SwinTransformer', embed_dims=4, window_size=3, use_abs_pos_embed=True, pretrain_img_size=32,
                 **STAGES),
    'PCPVT': dict(type='PCPVT', **TWINS),
    'SVT': dict(type='SVT', windiow_sizes=(3, 3, 3, 3), **TWINS),
}
ViT = dict(NETWORKS['ViT'])
ViT.pop('type')


def build(name, **options):
    return fill(MODELS.build(dict(NETWORKS[name], **options)))


@pytest.mark.parametrize('name', NETWORKS)
def test_odd_sizes_reach_every_parameter(name):
    model = build(name)
    features = model(image(65, 97, batch=2))
    assert [tuple(x.shape) for x in features] == [
        (2, c, -(-65 // s), -(-97 // s)) for c, s in zip(model.out_channels, model.out_strides)]
    sum(x.square().mean() for x in features).backward()
    assert [key for key, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


@pytest.mark.parametrize('name', NETWORKS)
@torch.no_grad()
def test_layouts_and_halves_agree(name):
    model = build(name).eval()
    x = image(48, 64)
    expected = model(x)[-1]
    torch.testing.assert_close(model.to(memory_format=torch.channels_last)(
        x.to(memory_format=torch.channels_last))[-1], expected, rtol=1e-3, atol=1e-4)
    with torch.autocast('cpu', torch.bfloat16):
        half = model(x)[-1].float()
    assert (half - expected).abs().mean() < .05 * expected.std()


@pytest.mark.parametrize('name', NETWORKS)
def test_a_new_network_is_initialised(name):
    torch.manual_seed(0)
    model = MODELS.build(NETWORKS[name])
    model.init_weights()
    for key, p in model.named_parameters():
        if key.endswith('in_proj_weight') and name != 'ViT':
            assert p.std().item() == pytest.approx(.02, rel=.2)
        if key.endswith(('norm1.weight', 'ln1.weight')):
            assert (p == 1).all()
        if 'pos_embed' in key or 'position_bias' in key:
            assert 0 < p.std() < .03


@pytest.mark.parametrize('name', ['MiT', 'ViT', 'Swin'])
def test_checkpointing_trains_the_same(name):
    gradients = []
    for with_cp in (False, True):
        model = build(name, with_cp=with_cp, drop_path_rate=0.).train()
        model(image(32, 48, batch=2))[-1].square().mean().backward()
        gradients.append([p.grad for p in model.parameters() if p.grad is not None])
    torch.testing.assert_close(*gradients)


@torch.no_grad()
def test_keys_are_made_from_squares_of_tokens():
    attn = fill(EfficientMultiheadAttention(8, 2, sr_ratio=2, qkv_bias=True)).eval()
    x = torch.randn(2, 4 * 6, 8, generator=torch.Generator().manual_seed(0))
    feature = x.transpose(1, 2).reshape(2, 8, 4, 6)
    key = attn.norm(attn.sr(feature).flatten(2).transpose(1, 2))
    key = key.transpose(0, 1)
    expected = attn.attn(x.transpose(0, 1), key, key)[0].transpose(0, 1)  # PyTorch's own, of (N, B, C)
    torch.testing.assert_close(attn(x, (4, 6)), x + expected)
    torch.testing.assert_close(attn.legacy_forward(x, (4, 6), 0.), attn(x, (4, 6)) - x)
    assert attn(x[:, :3], (1, 3)).isfinite().all()  # smaller than a square


@torch.no_grad()
def test_shifted_windows_see_only_what_lay_together():
    """Against attention to all tokens of the map with a mask written out token by token."""
    attn = fill(ShiftWindowMSA(4, 1, window_size=4, shift_size=2)).eval()
    attn.w_msa.relative_position_bias_table.zero_()
    x = torch.randn(1, 64, 4, generator=torch.Generator().manual_seed(0))
    y, column = torch.arange(64) // 8, torch.arange(64) % 8
    window = (y + 2) // 4 * 3 + (column + 2) // 4
    query, key, value = attn.w_msa.qkv(x).chunk(3, -1)
    weights = (query @ key.mT * 4**-.5).masked_fill(window[:, None] != window, float('-inf')).softmax(-1)
    torch.testing.assert_close(attn(x, (8, 8)), attn.w_msa.proj(weights @ value))


@torch.no_grad()
def test_window_masks_are_added_or_chosen():
    attn = fill(WindowMSA(4, 2, (2, 2))).eval()
    x = torch.randn(6, 4, 4, generator=torch.Generator().manual_seed(0))
    seen = torch.rand(3, 4, 4, generator=torch.Generator().manual_seed(1)) < .5
    seen |= torch.eye(4, dtype=torch.bool)
    torch.testing.assert_close(attn(x, seen), attn(x, torch.zeros(3, 4, 4).masked_fill(~seen, -100)))
    assert WindowMSA.double_step_seq(5, 2, 1, 3).tolist() == [[0, 1, 2, 5, 6, 7]]


@torch.no_grad()
def test_padding_of_local_groups_is_not_seen():
    attn = fill(LocallyGroupedSelfAttention(4, 2, qkv_bias=True, window_size=3)).eval()
    x = torch.randn(2, 3 * 4, 4, generator=torch.Generator().manual_seed(0))
    last = x.view(2, 3, 4, 4)[:, :, 3:].flatten(1, 2)  # the second window holds one column
    narrow = fill(LocallyGroupedSelfAttention(4, 2, qkv_bias=True, window_size=3)).eval()
    out = attn(x, (3, 4)).view(2, 3, 4, 4)[:, :, 3:].flatten(1, 2)
    torch.testing.assert_close(out, narrow(last, (3, 1)))
    query, key, value = (t.unflatten(-1, (2, 2)).transpose(1, 2) for t in attn.qkv(last).chunk(3, -1))
    expected = (query @ key.mT * 2**-.5).softmax(-1) @ value
    torch.testing.assert_close(out, attn.proj(expected.transpose(1, 2).flatten(2)))


@torch.no_grad()
def test_vit_returns_class_tokens_and_the_origin():
    model = build('ViT', output_cls_token=True, out_origin=True, pre_norm=True, final_norm=True).eval()
    features = model(image(64, 64))
    assert len(features) == len(model.out_channels) == 3
    for feature, cls_token in features:
        assert feature.shape == (1, 16, 4, 4) and cls_token.shape == (1, 16)
    tokens = torch.cat([features[-1][1][:, None], features[-1][0].flatten(2).mT], 1)
    torch.testing.assert_close((tokens - model.norm1.bias) / model.norm1.weight @ torch.ones(16),
                               torch.zeros(1, 17), atol=1e-4, rtol=0)


@pytest.mark.parametrize('exclude, learning', [(['all'], None), (['pos_embed'], {'pos_embed'})])
def test_vit_freezes_all_but_what_is_excluded(exclude, learning):
    model = VisionTransformer(**ViT, frozen_exclude=exclude)
    found = {key for key, p in model.named_parameters() if p.requires_grad}
    assert found == (learning or {key for key, _ in model.named_parameters()})


@torch.no_grad()
def test_checkpoints_of_another_size_load():
    source, target = build('ViT').eval(), build('ViT', img_size=(96, 64)).eval()
    target.load_state_dict(source.state_dict())
    torch.testing.assert_close(target(image(96, 64))[-1], source(image(96, 64))[-1])
    source = build('Swin')
    target = build('Swin', window_size=4, pretrain_img_size=48)
    target.load_state_dict({f'backbone.{key}': value for key, value in source.state_dict().items()})
    attn = target.stages[0].blocks[0].attn.w_msa
    assert attn.relative_position_index.shape == (16, 16) and attn.relative_position_index.max() == 48
    before = source.stages[0].blocks[0].attn.w_msa.relative_position_bias_table
    torch.testing.assert_close(attn.relative_position_bias_table[24], before[12])  # the middle stays the middle
    with pytest.raises(ValueError, match='cannot be resized'):
        build('ViT', embed_dims=32).load_state_dict(build('ViT').state_dict())


def test_frozen_stages_of_swin_come_first():
    model = SwinTransformer(embed_dims=4, window_size=3, frozen_stages=2, **STAGES).train()
    frozen = {key.split('.')[0] + key[6:8] * key.startswith('stages')
              for key, p in model.named_parameters() if not p.requires_grad}
    assert frozen == {'patch_embed', 'stages.0', 'stages.1', 'norm0', 'norm1'}
    assert not model.stages[1].training and model.stages[2].training


def test_norm_eval_of_vit_holds_the_norms():
    model = build('ViT', norm_eval=True).train()
    assert model.training and not model.layers[0].ln1.training


@pytest.mark.parametrize('network, options, message', [
    (VisionTransformer, dict(img_size=8), 'at least patch_size=16'),
    (VisionTransformer, dict(num_layers=2, out_indices=(1, 2)), 'below num_layers=2'),
    (VisionTransformer, dict(with_cls_token=False, output_cls_token=True), 'needs with_cls_token=True'),
    (SwinTransformer, dict(patch_size=8), 'first stride must be patch_size=8, found 4'),
    (SwinTransformer, dict(depths=(2, 2)), 'a number for each stage'),
    (MixVisionTransformer, dict(num_layers=(1, 1)), 'num_layers needs one number for each of num_stages=4'),
    (MixVisionTransformer, dict(out_indices=(4,)), 'below num_stages, which is 4'),
    (SVT, dict(embed_dims=(63, 128, 256), num_heads=(2, 2, 4)), 'embed_dims=63 must be a multiple of num_heads=2'),
    (ShiftWindowMSA, dict(embed_dims=4, num_heads=1, window_size=4, shift_size=4), 'shift_size must be 0 to 3'),
])
def test_options_that_do_not_fit(network, options, message):
    with torch.device('meta'), pytest.raises(ValueError, match=message):
        network(**options)
