"""Blocks that several networks share."""
import pytest
import torch
from torch import nn

from mmseg.models.backbones.unet import BasicConvBlock
from mmseg.models.utils import (
    DAPPM,
    PAPPM,
    BasicBlock,
    Bottleneck,
    InvertedResidual,
    InvertedResidualV3,
    SELayer,
    SelfAttentionBlock,
    UpConvBlock,
    make_divisible,
    nchw2nlc2nchw,
    nchw_to_nlc,
    nlc2nchw2nlc,
    nlc_to_nchw,
)
from mmseg.models.utils.backbone_options import checkpointed
from tests.golden import fill, image


def check_gradients(module, *inputs):
    module(*inputs).square().mean().backward()
    assert [key for key, p in module.named_parameters() if p.grad is None or p.grad.abs().sum() == 0] == []


@pytest.mark.parametrize('arguments, result', [
    ((33, 8), 32), ((36, 8), 40), ((4, 8), 8), ((10, 8), 16), ((10, 8, None, 0.8), 8), ((3, 8, 4), 4), ((22.4, 8), 24),
])
def test_make_divisible(arguments, result):
    assert make_divisible(*arguments) == result


def test_squeeze_and_excitation_scales_channels():
    layer = fill(SELayer(32, ratio=4)).eval()
    x = image(9, 11, batch=2, channels=32)
    gate = layer(x) / x
    torch.testing.assert_close(gate, gate[..., :1, :1].expand_as(gate), rtol=1e-3, atol=1e-4)
    assert gate.min() >= 0 and gate.max() <= 1.0001
    assert layer.conv1.conv.out_channels == 8
    with pytest.raises(ValueError, match='found 3'):
        SELayer(32, act_cfg=(dict(type='ReLU'),) * 3)


@pytest.mark.parametrize('options, size, adds', [
    (dict(out_channels=8, stride=1, expand_ratio=6), (9, 11), True),
    (dict(out_channels=8, stride=2, expand_ratio=1), (5, 6), False),
    (dict(out_channels=12, stride=1, expand_ratio=2, dilation=4), (9, 11), False),
])
def test_inverted_residual(options, size, adds):
    block = fill(InvertedResidual(8, **options))
    x = image(9, 11, batch=2, channels=8)
    assert block(x).shape == (2, options['out_channels'], *size)
    assert len(block.conv) == (2 if options['expand_ratio'] == 1 else 3)
    check_gradients(block, x)
    block.eval()
    torch.testing.assert_close(block(x) - block.conv(x), x if adds else torch.zeros_like(block(x)))


@pytest.mark.parametrize('options, size', [
    (dict(se_cfg=dict(channels=24, ratio=4), kernel_size=5), (9, 11)),
    (dict(stride=2), (5, 6)),
    (dict(mid_channels=8, with_expand_conv=False), (9, 11)),
])
@pytest.mark.parametrize('with_cp', [False, True])
def test_inverted_residual_v3(options, size, with_cp):
    block = fill(InvertedResidualV3(8, 8, **dict(dict(mid_channels=24), **options), with_cp=with_cp))
    x = image(9, 11, batch=2, channels=8)
    assert block(x).shape == (2, 8, *size)
    check_gradients(block, x)


def test_inverted_residuals_refuse_what_does_not_fit():
    with pytest.raises(ValueError, match='stride 1 or 2, found 3'):
        InvertedResidual(8, 8, 3, 1)
    with pytest.raises(ValueError, match=r'mid_channels \(16\) must equal in_channels \(8\)'):
        InvertedResidualV3(8, 8, 16, with_expand_conv=False)


@pytest.mark.parametrize('block, expansion, last', [(BasicBlock, 1, True), (Bottleneck, 2, False)])
def test_real_time_blocks(block, expansion, last):
    wide = 8 * expansion
    shortcut = nn.Sequential(nn.Conv2d(6, wide, 1, stride=2, bias=False), nn.BatchNorm2d(wide))
    module = fill(block(6, 8, stride=2, downsample=shortcut))
    out = module(image(9, 11, batch=2, channels=6))
    assert out.shape == (2, wide, 5, 6) and bool((out >= 0).all()) is last
    check_gradients(module, image(9, 11, batch=2, channels=6))


@pytest.mark.parametrize('kind', [DAPPM, PAPPM])
@pytest.mark.parametrize('scales', [5, 3])
def test_context_pyramids(kind, scales):
    module = fill(kind(8, 4, 6, scales))
    x = image(17, 25, batch=2, channels=8)
    assert module(x).shape == (2, 6, 17, 25)
    assert [len(list(module.scales)), module.compression.conv.in_channels] == [scales, 4 * scales]
    check_gradients(module, x)
    module.eval()
    for p in module.compression.parameters():
        p.data.zero_()
    torch.testing.assert_close(module(x), module.shortcut(x))
    with pytest.raises(ValueError, match='6 scales need 4 kernel_sizes'):
        kind(8, 4, 6, 6)


def attention(**options):
    given = dict(key_in_channels=8, query_in_channels=8, channels=4, out_channels=6, share_key_query=False,
                 query_downsample=None, key_downsample=None, key_query_num_convs=1, value_out_num_convs=1,
                 key_query_norm=False, value_out_norm=False, matmul_norm=True, with_out=True, conv_cfg=None,
                 norm_cfg=dict(type='BN'), act_cfg=dict(type='ReLU'))
    return SelfAttentionBlock(**dict(given, **options))


@pytest.mark.parametrize('options', [
    dict(), dict(share_key_query=True), dict(matmul_norm=False), dict(with_out=False),
    dict(key_in_channels=5, key_query_num_convs=2, value_out_num_convs=2, key_query_norm=True, value_out_norm=True),
    dict(key_downsample=nn.AdaptiveAvgPool2d(2)),
])
def test_self_attention_is_a_weighted_mean_of_values(options):
    block = fill(attention(**options)).eval()
    query, key = image(9, 11, 2, 8), image(5, 4, 2, options.get('key_in_channels', 8), seed=1)
    q, k, v = block.query_project(query), block.key_project(key), block.value_project(key)
    if block.key_downsample is not None:
        k, v = block.key_downsample(k), block.key_downsample(v)
    weights = torch.einsum('bchw,bcn->bhwn', q, k.flatten(2)) * (0.5 if options.get('matmul_norm', True) else 1)
    expected = torch.einsum('bhwn,bcn->bchw', weights.softmax(-1), v.flatten(2))
    out = block(query, key)
    expected = expected if block.out_project is None else block.out_project(expected)
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5)
    assert out.shape == (2, 6, 9, 11)


def test_self_attention_starts_with_nothing_to_add():
    assert attention()(image(9, 11, 2, 8), image(9, 11, 2, 8)).abs().max() == 0
    with pytest.raises(ValueError, match='found 5 and 8'):
        attention(share_key_query=True, key_in_channels=5)


@pytest.mark.parametrize('upsample, scale', [(dict(type='DeconvModule'), 2), (None, 1)])
def test_up_conv_block_meets_the_skipped_feature(upsample, scale):
    block = fill(UpConvBlock(BasicConvBlock, 8, 4, 6, upsample_cfg=upsample))
    skip, deep = image(8 * scale, 10 * scale, 2, 4), image(8, 10, 2, 8)
    assert block(skip, deep).shape == (2, 6, 8 * scale, 10 * scale)
    check_gradients(block, skip, deep)


@pytest.mark.parametrize('contiguous', [False, True])
def test_tokens_and_maps(contiguous):
    x = image(3, 4, batch=2, channels=5)
    tokens = nchw_to_nlc(x)
    assert torch.equal(tokens[:, 6], x[:, :, 1, 2])
    assert torch.equal(nlc_to_nchw(tokens, (3, 4)), x)
    linear, conv = nn.Linear(5, 5), nn.Conv2d(5, 5, 1)
    conv.load_state_dict({k: v[..., None, None] if v.ndim == 2 else v for k, v in linear.state_dict().items()})
    a, b = nchw2nlc2nchw(linear, x, contiguous), conv(x)
    torch.testing.assert_close(a, b)
    c = nlc2nchw2nlc(conv, tokens, (3, 4), contiguous)
    torch.testing.assert_close(c, linear(tokens))
    assert not contiguous or (a.is_contiguous() and c.is_contiguous())
    with pytest.raises(ValueError, match=r'needs tokens \(B, 20, C\), found \(2, 12, 5\)'):
        nlc_to_nchw(tokens, (4, 5))
    with pytest.raises(ValueError, match=r'found \(2, 12, 5\)'):
        nchw_to_nlc(tokens)


def test_checkpointed_counts_a_batch_once():
    norm = nn.BatchNorm1d(3)
    x = torch.randn(4, 3, requires_grad=True)
    checkpointed(norm, norm, x).square().sum().backward()
    assert norm.num_batches_tracked == 1 and norm.track_running_stats
    torch.testing.assert_close(norm.running_mean, 0.1 * x.detach().mean(0))
