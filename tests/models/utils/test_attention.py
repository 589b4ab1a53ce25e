"""Attention of all tokens, attention within windows, position embeddings at other sizes."""
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmseg.models.utils.attention import MultiheadAttention, drop_path_rates, multi_head, project_and_attend
from mmseg.models.utils.embed import PatchEmbed, PatchMerging
from mmseg.models.utils.position_embedding import (
    fit_position_embedding,
    fit_position_table,
    resize_position_embedding,
)
from mmseg.models.utils.window_attention import (
    pad_to_windows,
    partition,
    position_bias,
    relative_positions,
    unpartition,
    within_region,
)
from tests.golden import fill


def tokens(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize('masked', [False, True])
def test_multi_head_is_a_softmax_for_each_head(masked):
    query, key, value = tokens(2, 5, 8), tokens(2, 7, 8, seed=1), tokens(2, 7, 8, seed=2)
    mask = tokens(2, 5, 7, seed=3) if masked else torch.zeros(2, 5, 7)
    expected = []
    for head in range(2):
        part = slice(4 * head, 4 * head + 4)
        weights = (query[..., part] @ key[..., part].mT * 4**-.5 + mask[head]).softmax(-1)
        expected.append(weights @ value[..., part])
    torch.testing.assert_close(multi_head(query, key, value, 2, mask if masked else None), torch.cat(expected, -1))


@pytest.mark.parametrize('bias', [False, True])
@pytest.mark.parametrize('case', ['self', 'keys are values', 'all differ'])
def test_projections_are_those_of_pytorch(case, bias):
    attn = fill(nn.MultiheadAttention(8, 2, bias=bias, batch_first=True)).eval()
    query = tokens(2, 5, 8)
    key = query if case == 'self' else tokens(2, 7, 8, seed=1)
    value = tokens(2, 7, 8, seed=2) if case == 'all differ' else key
    torch.testing.assert_close(project_and_attend(attn, query, key, value), attn(query, key, value)[0])


def test_attention_adds_the_shortcut_in_either_layout():
    attn = fill(MultiheadAttention(8, 2)).eval()
    turned = MultiheadAttention(8, 2, batch_first=False).eval()
    turned.load_state_dict(attn.state_dict())
    x, key = tokens(2, 5, 8), tokens(2, 7, 8, seed=1)
    torch.testing.assert_close(attn(x, identity=0.) + x, attn(x))
    for arguments in ([x], [x, key]):
        torch.testing.assert_close(turned(*(a.transpose(0, 1) for a in arguments)).transpose(0, 1), attn(*arguments))


def test_channels_must_be_shared_evenly_by_the_heads():
    with pytest.raises(ValueError, match='embed_dims=10 cannot be shared by num_heads=4: it is a multiple of 1, 2, 5'):
        MultiheadAttention(10, 4)


def test_stochastic_depth_rises_evenly():
    assert drop_path_rates(.3, 4) == pytest.approx([0, .1, .2, .3])
    assert drop_path_rates(.3, 1) == [0]


def test_relative_positions_are_equal_for_equal_offsets():
    index = relative_positions(2, 3)
    offsets = {}
    for i in range(6):
        for j in range(6):
            offsets.setdefault((i // 3 - j // 3, i % 3 - j % 3), set()).add(int(index[i, j]))
    assert all(len(numbers) == 1 for numbers in offsets.values())
    assert set.union(*offsets.values()) == set(range(15)) and len(offsets) == 15
    assert index[0, 0] == 7 and index[0, 5] == 0 and index[5, 0] == 14


def test_relative_positions_of_a_class_token_come_last():
    index = relative_positions(2, 3, with_cls_token=True)
    torch.testing.assert_close(index[1:, 1:], relative_positions(2, 3))
    assert index[0, 0] == 17 and set(index[0, 1:].tolist()) == {15} and set(index[1:, 0].tolist()) == {16}


def test_position_bias_looks_up_the_table():
    table, index = tokens(15, 2), relative_positions(2, 3)
    bias = position_bias(table, index)
    assert bias.shape == (2, 6, 6) and bias[1, 4, 2] == table[index[4, 2], 1]


def test_windows_are_read_row_by_row_and_put_together_again():
    x = torch.arange(2 * 4 * 6).view(2, 4, 6, 1)
    windows = partition(x, 2)
    assert windows.shape == (12, 2, 2, 1)
    assert windows[1].flatten().tolist() == [2, 3, 8, 9] and windows[3].flatten().tolist() == [12, 13, 18, 19]
    torch.testing.assert_close(unpartition(windows, 4, 6), x)
    assert pad_to_windows(x, 5).shape == (2, 5, 10, 1) and pad_to_windows(x, 2).shape == x.shape


def test_regions_of_a_window_do_not_see_each_other():
    regions = torch.tensor([[0, 0, 0, 1], [0, 0, 0, 1]])
    seen = within_region(regions, 2)
    assert seen.shape == (2, 4, 4) and seen[0].all()
    assert seen[1].tolist() == [[True, False, True, False], [False, True, False, True]] * 2


def test_position_embedding_keeps_what_stands_before_the_grid():
    embedding = tokens(1, 2 + 12, 5)
    resized = resize_position_embedding(embedding, (3, 4), (6, 5), 'bilinear')
    assert resized.shape == (1, 32, 5)
    torch.testing.assert_close(resized[:, :2], embedding[:, :2])
    grid = F.interpolate(embedding[:, 2:].reshape(1, 3, 4, 5).permute(0, 3, 1, 2), (6, 5), mode='bilinear')
    torch.testing.assert_close(resized[0, 2 + 5 * 4 + 3], grid[0, :, 4, 3])
    assert resize_position_embedding(embedding, (3, 4), (3, 4)) is embedding
    with pytest.raises(ValueError, match='4 x 4 tokens needs 16 position embeddings, found 14'):
        resize_position_embedding(embedding, (4, 4), (6, 5))


def test_checkpoint_of_another_size_fits():
    assert fit_position_embedding(tokens(1, 1 + 9, 5), tokens(1, 1 + 8, 5), (2, 4)).shape == (1, 9, 5)
    assert fit_position_table(tokens(25, 2), tokens(35, 2), (3, 4)).shape == (35, 2)
    with pytest.raises(ValueError, match='cannot be resized'):
        fit_position_embedding(tokens(1, 1 + 9, 6), tokens(1, 1 + 8, 5), (2, 4))
    with pytest.raises(ValueError, match='cannot be resized'):
        fit_position_embedding(tokens(1, 1 + 10, 5), tokens(1, 1 + 8, 5), (2, 4))
    with pytest.raises(ValueError, match='need 2 heads and a square window'):
        fit_position_table(tokens(25, 3), tokens(35, 2), (3, 4))


def test_patches_cover_the_image():
    embed = fill(PatchEmbed(3, 4, kernel_size=4))
    x = tokens(1, 3, 9, 10)
    patches, size = embed(x)
    assert size == (3, 3) and patches.shape == (1, 9, 4)
    last = F.pad(x, (0, 2, 0, 3))[0, :, 8:, 8:]
    expected = (embed.projection.weight * last).sum((1, 2, 3)) + embed.projection.bias
    torch.testing.assert_close(patches[0, -1], expected)


def test_patches_are_merged_channel_by_channel():
    merge = fill(PatchMerging(2, 3, norm_cfg=None))
    x = tokens(1, 4 * 3, 2)
    merged, size = merge(x, (4, 3))
    assert size == (2, 2) and merged.shape == (1, 4, 3)
    square = x.view(4, 3, 2)[2:, :2].permute(2, 0, 1).flatten()  # C y x
    torch.testing.assert_close(merged[0, 2], merge.reduction.weight @ square)
