"""The heads of SegFormer, Segmenter, SETR and DPT, and SETR's neck."""
import pytest
import torch
import torch.nn.functional as F

from mmseg.models.decode_heads import DPTHead, SegformerHead, SegmenterMaskTransformerHead, SETRMLAHead, SETRUPHead
from mmseg.models.decode_heads.dpt_head import FeatureFusionBlock, ReassembleBlocks
from mmseg.models.necks import MLANeck
from tests.golden import fill, image

BN = dict(type='BN')
RELU = dict(type='ReLU')


def features(*channels, size=(6, 9)):
    return [image(*size, 2, c, seed=c + i) for i, c in enumerate(channels)]


@torch.no_grad()
def test_segformer_head_fuses_at_the_finest_size():
    head = fill(SegformerHead(in_channels=[4, 6], in_index=[0, 1], channels=5, num_classes=3, norm_cfg=BN)).eval()
    fine, coarse = image(8, 12, 1, 4), image(4, 6, 1, 6)
    small = [head.convs[0](fine), F.interpolate(head.convs[1](coarse), (8, 12), mode='bilinear')]
    torch.testing.assert_close(head([fine, coarse]), head.conv_seg(head.fusion_conv(torch.cat(small, 1))))


@torch.no_grad()
def test_segmenter_classifies_by_cosines():
    head = fill(SegmenterMaskTransformerHead(6, 1, 2, 8, channels=8, num_classes=5, norm_cfg=dict(type='LN'))).eval()
    assert not hasattr(head, 'conv_seg')
    seen = {}
    head.mask_norm.register_forward_hook(lambda _, inputs, out: seen.update(cosines=inputs[0]))
    logits = head(features(6))
    assert logits.shape == (2, 5, 6, 9) and seen['cosines'].shape == (2, 54, 5)
    assert seen['cosines'].abs().max() <= 1 + 1e-5
    torch.testing.assert_close(logits[1, :, 2, 3], head.mask_norm(seen['cosines'])[1, 2 * 9 + 3])


def test_segmenter_starts_narrow():
    torch.manual_seed(0)
    head = SegmenterMaskTransformerHead(16, 2, 2, 32, channels=32, num_classes=9, init_std=.05)
    head.init_weights()
    for weight in (head.cls_emb, head.patch_proj.weight, head.layers[0].ffn.layers[1].weight):
        assert weight.std().item() == pytest.approx(.05, rel=.15)


@pytest.mark.parametrize('num_convs, up_scale, kernel_size', [(1, 4, 1), (3, 2, 3)])
@torch.no_grad()
def test_setr_up_head_enlarges_at_each_step(num_convs, up_scale, kernel_size):
    head = fill(SETRUPHead(in_channels=6, channels=4, num_classes=3, norm_cfg=BN, num_convs=num_convs,
                           up_scale=up_scale, kernel_size=kernel_size)).eval()
    x = features(6)[0]
    assert head([x]).shape == (2, 3, 6 * up_scale**num_convs, 9 * up_scale**num_convs)
    torch.testing.assert_close(head([x]), head([x * 3 + 1]), rtol=1e-3, atol=1e-3)  # a norm of the tokens comes first


def test_setr_heads_refuse_what_does_not_fit():
    with pytest.raises(ValueError, match='kernel_size must be 1 or 3, found 5'):
        SETRUPHead(in_channels=6, channels=4, num_classes=3, kernel_size=5)
    with pytest.raises(ValueError, match='2 features of mla_channels=4 need channels=8, found 9'):
        SETRMLAHead(4, in_channels=[6, 6], in_index=[0, 1], channels=9, num_classes=3)


@torch.no_grad()
def test_setr_mla_adds_the_deeper_features():
    neck = fill(MLANeck([6, 6, 6], 4, norm_cfg=BN, act_cfg=RELU)).eval()
    inputs = features(6, 6, 6)
    outs = neck(inputs)
    tokens = [norm(x.flatten(2).mT).mT.unflatten(2, (6, 9)) for norm, x in zip(neck.norm, inputs)]
    shallow, middle, deep = (project(x) for project, x in zip(neck.mla.channel_proj, tokens))
    expected = [f(x) for f, x in zip(neck.mla.feat_extract, (deep, deep + middle, deep + middle + shallow))]
    torch.testing.assert_close(list(outs), expected)
    with pytest.raises(ValueError, match='made for 3 features, found 2'):
        neck(inputs[:2])
    head = fill(SETRMLAHead(2, 2, in_channels=[4] * 3, in_index=[0, 1, 2], channels=6, num_classes=5, norm_cfg=BN))
    parts = [up(x) for up, x in zip(head.eval().up_convs, outs)]
    torch.testing.assert_close(head(outs), head.conv_seg(torch.cat(parts, 1)))


@pytest.mark.parametrize('readout_type', ['ignore', 'add', 'project'])
@torch.no_grad()
def test_dpt_reassembles_four_strides(readout_type):
    blocks = fill(ReassembleBlocks(6, (4, 4, 4, 4), readout_type)).eval()
    pairs = [(x, image(1, 1, 2, 6, seed=i).flatten(1)) for i, x in enumerate(features(6, 6, 6, 6))]
    out = blocks(pairs)
    assert [tuple(x.shape[2:]) for x in out] == [(24, 36), (12, 18), (6, 9), (3, 5)]
    x, token = pairs[2]
    place = {'ignore': lambda: x[0, :, 1, 2], 'add': lambda: x[0, :, 1, 2] + token[0],
             'project': lambda: blocks.readout_projects[2](torch.cat([x[0, :, 1, 2], token[0]]))}[readout_type]()
    torch.testing.assert_close(out[2][0, :, 1, 2], blocks.projects[2](place[None, :, None, None]).flatten())


@torch.no_grad()
def test_dpt_fuses_a_finer_feature():
    block = fill(FeatureFusionBlock(4, RELU, BN, expand=True)).eval()
    coarse, finer = image(3, 5, 1, 4), image(6, 9, 1, 4, seed=1)
    kept = coarse.clone()
    out = block(coarse, finer)
    assert out.shape == (1, 2, 6, 10)
    torch.testing.assert_close(coarse, kept, rtol=0, atol=0)
    assert (out - block(coarse)).abs().max() > .01


def test_dpt_head_refuses_what_does_not_fit():
    options = dict(in_channels=[6] * 4, in_index=[0, 1, 2, 3], input_transform='multiple_select', channels=4,
                   num_classes=3, embed_dims=6)
    with pytest.raises(ValueError, match='must be four'):
        DPTHead(post_process_channels=(4, 4), **options)
    with pytest.raises(ValueError, match="'ignore', 'add' or 'project', found 'sum'"):
        DPTHead(readout_type='sum', **options)
