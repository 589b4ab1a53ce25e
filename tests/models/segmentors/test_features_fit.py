"""Necks and heads that do not fit the features that they get are refused when the network is built."""
import pytest
import torch
from torch import nn

from mmseg.models.decode_heads import FCNHead
from mmseg.registry import MODELS

BACKBONE = dict(type='ResNet', depth=18, base_channels=4, stem_channels=4)  # gives 4, 8, 16 and 32 channels
FCN = dict(type='FCNHead', in_channels=32, in_index=3, channels=4, num_convs=1, num_classes=5)
SEVERAL = dict(FCN, in_index=[1, 2], input_transform='resize_concat')
UPER = dict(FCN, type='UPerHead', in_index=[0, 1, 2, 3], in_channels=[4, 8, 16, 32], pool_scales=(1, 2))
OCR = dict(FCN, type='OCRHead', ocr_channels=4)
UPER.pop('num_convs')
OCR.pop('num_convs')
FPN = dict(type='FPN', in_channels=[4, 8, 16, 32], out_channels=6, num_outs=4)
JPU = dict(type='JPU', in_channels=[4, 8, 16, 32], mid_channels=3)  # gives 4, 8, 16 and 12 channels


class Unpublished(nn.Module):
    """A backbone that says nothing of its features."""

    def forward(self, x):
        return (nn.functional.avg_pool2d(x, 4),)


class SumHead(FCNHead):
    """A head of a user's own, which takes other features than it says."""


def build(head=FCN, backbone=BACKBONE, **options):
    return MODELS.build(dict(type='EncoderDecoder', backbone=backbone, decode_head=head, **options))


def cascade(first, second):
    return MODELS.build(dict(type='CascadeEncoderDecoder', num_stages=2, backbone=BACKBONE,
                             decode_head=[first, second]))


@pytest.mark.parametrize('options', [
    dict(), dict(head=dict(FCN, in_index=-1)), dict(head=dict(SEVERAL, in_channels=[8, 16])), dict(head=UPER),
    dict(neck=FPN, head=dict(FCN, in_channels=6)), dict(neck=JPU, head=dict(FCN, in_channels=12)),
    dict(auxiliary_head=[dict(FCN, in_channels=16, in_index=2), dict(FCN, in_channels=4, in_index=0)]),
    dict(backbone=dict(type=Unpublished)),
    dict(head=dict(FCN, type=SumHead, in_channels=7)),
])
def test_what_fits_or_is_not_known_is_built(options):
    assert build(**options).num_classes == 5


@pytest.mark.parametrize('options, words', [
    (dict(head=dict(FCN, in_channels=64)), r'^decode_head is made for \[64\] channels .* gets \[32\]: ResNet gives 4 '),
    (dict(head=dict(FCN, in_index=2)), r'made for \[32\] channels but with in_index=2 .* gets \[16\]'),
    (dict(head=dict(FCN, in_index=4)), r'decode_head.in_index=4 .* gives 4 features, of \[4, 8, 16, 32\] channels'),
    (dict(head=dict(FCN, in_index=-5)), 'in_index=-5'),
    (dict(head=dict(SEVERAL, in_channels=[8, 32])), r"made for \[40\].*'resize_concat' it gets \[24\]"),
    (dict(head=dict(UPER, in_channels=[4, 8, 16, 64])), r'made for \[4, 8, 16, 64\].* gets \[4, 8, 16, 32\]'),
    (dict(auxiliary_head=dict(FCN, in_index=1)), r'^auxiliary_head is made for \[32\] .* gets \[8\]'),
    (dict(auxiliary_head=[FCN, dict(FCN, in_index=0)]), r'^auxiliary_head\[1\] is made for \[32\] .* gets \[4\]'),
    (dict(neck=FPN), r'made for \[32\] .* gets \[6\]: FPN gives 4 features, of \[6, 6, 6, 6\] channels'),
    (dict(neck=JPU), r'made for \[32\] .* gets \[12\]: JPU gives 4 features'),
    (dict(neck=dict(FPN, in_channels=[4, 8, 16, 64])), r'neck.in_channels=\[4, 8, 16, 64\] .* \[4, 8, 16, 32\]'),
    (dict(neck=dict(FPN, in_channels=[8, 16, 32])), r'neck.in_channels=\[8, 16, 32\] .* of ResNet'),
])
def test_what_does_not_fit_is_refused_with_both_numbers(options, words):
    with pytest.raises(ValueError, match=words), torch.device('meta'):
        build(**options)


def test_every_head_of_a_cascade_is_checked():
    assert cascade(FCN, OCR).num_stages == 2
    with pytest.raises(ValueError, match=r'decode_head\[0\] is made for \[64\] .* gets \[32\]'):
        cascade(dict(FCN, in_channels=64), OCR)
    with pytest.raises(ValueError, match=r'decode_head\[1\] is made for \[32\] .* gets \[16\]'):
        cascade(FCN, dict(OCR, in_index=2))
