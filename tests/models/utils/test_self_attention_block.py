import pytest
import torch
from torch import nn

from mmseg.models.utils import SelfAttentionBlock
from tests.golden import fill, image


def attention(**options):
    given = dict(key_in_channels=8, query_in_channels=8, channels=4, out_channels=6, share_key_query=False,
                 query_downsample=None, key_downsample=None, key_query_num_convs=1, value_out_num_convs=1,
                 key_query_norm=False, value_out_norm=False, matmul_norm=True, with_out=True, conv_cfg=None,
                 norm_cfg=dict(type='BN'), act_cfg=dict(type='ReLU'))
    return fill(SelfAttentionBlock(**dict(given, **options))).eval()


@pytest.mark.parametrize('size', [(8, 12), (9, 11), (2, 2)])
def test_pooled_queries_give_a_result_of_the_full_size(size):
    block = attention(query_downsample=nn.MaxPool2d(2))
    query, key = image(*size, 2, 8), image(5, 4, 2, 8, seed=1)
    out = block(query, key)
    pooled = nn.functional.max_pool2d(block.query_project(query), 2).flatten(2)
    k, v = block.key_project(key).flatten(2), block.value_project(key).flatten(2)
    context = v @ (k.transpose(1, 2) @ pooled / 2).softmax(1)  # B C (h w)
    context = block.out_project(context.unflatten(2, (size[0] // 2, size[1] // 2)))
    torch.testing.assert_close(out, nn.functional.interpolate(context, size, mode='bilinear'))


@pytest.mark.parametrize('pool, size, words', [
    (nn.MaxPool2d(2), (1, 9), r'\(1, 9\) is too small to be pooled over windows of \(2, 2\)'),
    (nn.AvgPool2d((3, 5)), (3, 4), r'\(3, 4\) is too small to be pooled over windows of \(3, 5\)')])
@pytest.mark.parametrize('pooled', ['query_downsample', 'key_downsample'])
def test_a_feature_too_small_for_the_pooling_is_refused(pooled, pool, size, words):
    block = attention(**{pooled: pool})
    with pytest.raises(ValueError, match=words):
        block(image(*size, 1, 8), image(*size, 1, 8))


@pytest.mark.parametrize('options', [dict(), dict(query_downsample=nn.MaxPool2d(2)), dict(with_out=False)])
def test_gradient_reaches_every_parameter(options):
    block = attention(**options)
    block(image(8, 12, 2, 8), image(5, 4, 2, 8)).square().mean().backward()
    assert [key for key, p in block.named_parameters() if p.grad is None] == []
