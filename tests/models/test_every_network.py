"""Every registered backbone and decode head learns and predicts; `networks.py` holds their specimens."""
import math

import pytest
import torch
from mmengine.structures import PixelData

from mmseg.models.decode_heads.cascade_decode_head import BaseCascadeDecodeHead
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from tests.golden import fill, image
from tests.models.networks import (
    BACKBONES,
    BN,
    HEADS,
    INERT,
    NOT_YET,
    OF_MASKS,
    ONLY_UNDER,
    PLAIN,
    STANDS_ON,
    TEST_CFG,
    TRAIN_CFG,
    registered,
)

TABLES = {'mmseg.models.backbones': BACKBONES, 'mmseg.models.decode_heads': HEADS}
OHEM = dict(type='OHEMPixelSampler', thresh=0.7, min_kept=50)
PLAINLY_TRAINED = [name for name in HEADS if name not in (*ONLY_UNDER.values(), *OF_MASKS)]
TWO_LOSSES = [dict(type='CrossEntropyLoss', avg_non_ignore=True), dict(type='DiceLoss', loss_weight=0.5)]


@pytest.mark.parametrize('package', TABLES)
def test_every_registered_name_has_a_specimen(package):
    known, missing = registered(package)
    assert known - set(TABLES[package]) == set(), 'add a row to tests/models/networks.py'
    assert set(TABLES[package]) - known == set()
    assert missing <= NOT_YET


def test_what_is_not_yet_there_is_listed_no_longer_than_needed():
    missing = set().union(*(registered(package)[1] for package in TABLES))
    assert missing == NOT_YET


def labels(height, width, batch):
    """Blocks of the classes 0 to 4, with a border of ignored pixels."""
    y, x = torch.meshgrid(torch.arange(height) // 16, torch.arange(width) // 16, indexing='ij')
    label = (y + 2 * x) % 5
    label[:3] = 255
    return [SegDataSample(gt_sem_seg=PixelData(data=label[None].roll(i, -1)),
                          gt_edge_map=PixelData(data=(label[None] == 1).long())) for i in range(batch)]


def with_head(name, auxiliary=None, **options):
    """A small segmentor with the head, after a plain one if it refines logits."""
    head = head_config(name, options)
    backbone = STANDS_ON.get(name, dict(type='FourStrides'))
    shared = dict(backbone=backbone, auxiliary_head=None if name in STANDS_ON else auxiliary, train_cfg=TRAIN_CFG,
                  test_cfg=TEST_CFG)
    if refines(name):
        cascade = dict(type='CascadeEncoderDecoder', num_stages=2, decode_head=[PLAIN, head])
        return fill(MODELS.build(dict(cascade, **shared)))
    return fill(MODELS.build(dict(type='EncoderDecoder', decode_head=head, **shared)))


def head_config(name, options):
    """A head with options, which belong to the head inside if there is one."""
    head = dict(HEADS[name], type=name)
    if 'kernel_generate_head' in head:
        return dict(head, kernel_generate_head=dict(head['kernel_generate_head'], **options))
    return dict(head, **options)


def refines(name):
    return issubclass(MODELS.get(name), BaseCascadeDecodeHead)


def without_gradient(model, part=''):
    return [key for key, p in model.named_parameters()
            if part in key and p.requires_grad and not key.endswith(INERT)
            and (p.grad is None or p.grad.abs().sum() == 0)]


def learn(model):
    """One step's gradients; returns the losses."""
    losses = model.train().loss(image(64, 96, 2), labels(64, 96, 2))
    assert all(value.isfinite().all() for value in losses.values())
    model.parse_losses(losses)[0].backward()
    return losses


@torch.no_grad()
def predict(model, height, width):
    sample, = model.eval().predict(image(height, width))
    logits = sample.seg_logits.data
    assert logits.isfinite().all()
    if height > 1 and logits.dtype == torch.float32:
        assert logits.std((1, 2)).min() > 0
    return sample.pred_sem_seg.data


@pytest.mark.parametrize('name', BACKBONES)
def test_backbone_gives_what_it_publishes(name):
    backbone = fill(MODELS.build(dict(type=name, **BACKBONES[name]))).eval()
    with torch.no_grad():
        features = backbone(image(*odd_size(name)))
    features = [features] if name in ONLY_UNDER else features
    assert tuple(feature.shape[1] for feature in features) == backbone.out_channels
    for feature, stride in zip(features, getattr(backbone, 'out_strides', ())):
        for side, whole in zip(feature.shape[2:], odd_size(name)):
            assert side in (whole // stride, math.ceil(whole / stride))


def odd_size(name):
    return (80, 112) if name == 'UNet' else (65, 97)  # it halves four times and refuses other sizes


def with_backbone(name):
    """A small segmentor with the backbone and a plain head on each of its features, or the one head that fits."""
    if name in ONLY_UNDER:
        return with_head(ONLY_UNDER[name])
    backbone = dict(type=name, **BACKBONES[name])
    with torch.device('meta'):
        channels = MODELS.build(backbone).out_channels
    heads = [dict(type='FCNHead', in_channels=channels[i], in_index=i, channels=4, num_convs=1, num_classes=5,
                  norm_cfg=BN) for i in range(len(channels))]
    return fill(MODELS.build(dict(type='EncoderDecoder', backbone=backbone, decode_head=heads[-1],
                                  auxiliary_head=heads[:-1] or None, test_cfg=TEST_CFG)))


@pytest.mark.parametrize('name', BACKBONES)
def test_backbone_in_a_segmentor(name):
    model = with_backbone(name)
    learn(model)
    assert without_gradient(model) == []
    assert predict(model, *odd_size(name)).shape == (1, *odd_size(name))


@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize('name', HEADS)
def test_head_learns_and_predicts_an_odd_size(name, align_corners):
    model = with_head(name, dict(PLAIN, align_corners=align_corners), align_corners=align_corners)
    losses = learn(model)
    assert name in STANDS_ON or {'aux.loss_ce', 'aux.acc_seg'} < set(losses)
    assert without_gradient(model, '_head') == []
    label = predict(model, 65, 97)
    assert label.shape == (1, 65, 97) and label.min() >= 0 and label.max() < 5


@pytest.mark.parametrize('name', PLAINLY_TRAINED)
def test_head_with_mined_pixels_several_losses_and_several_auxiliary_heads(name):
    options = dict(sampler=OHEM, loss_decode=TWO_LOSSES)
    again = [] if refines(name) or name in STANDS_ON else [head_config(name, options)]
    model = with_head(name, [PLAIN, *again], **options)
    losses = learn(model)
    assert without_gradient(model, '_head') == []
    for part in ['decode_1' if refines(name) else 'decode', *(['aux_1'] if again else [])]:
        found = [key for key in losses if key.startswith(f'{part}.')]
        assert any('loss_ce' in key for key in found) and any('loss_dice' in key for key in found)


@pytest.mark.parametrize('name', PLAINLY_TRAINED)
def test_head_mines_the_pixels_it_is_worst_at(name):
    """Fewer pixels count towards a mean over all of them, so the cross-entropy shrinks."""
    torch.manual_seed(0)
    everywhere = with_head(name).train().loss(image(64, 96, 2), labels(64, 96, 2))
    torch.manual_seed(0)
    mined = with_head(name, sampler=dict(OHEM, thresh=None)).train().loss(image(64, 96, 2), labels(64, 96, 2))
    compared = [key for key in everywhere if 'loss_ce' in key and not key.startswith('decode_0')]
    assert compared and all(mined[key] < 0.9 * everywhere[key] for key in compared)


@pytest.mark.parametrize('name', HEADS)
@pytest.mark.parametrize('size', [(1, 1), (3, 40)])
def test_head_predicts_the_smallest_images(name, size):
    assert predict(with_head(name), *size).shape == (1, *size)


@pytest.mark.parametrize('name', [*BACKBONES, *HEADS])
def test_mixed_precision_and_channels_last(name):
    if name == 'PoolFormer':
        pytest.skip('PyTorch 2.13 crashes on the CPU in the backward pass of its group normalisation')
    model = with_backbone(name) if name in BACKBONES else with_head(name)
    model.to(memory_format=torch.channels_last)
    with torch.autocast('cpu', torch.bfloat16):
        learn(model)
        assert predict(model, *odd_size(name)).shape == (1, *odd_size(name))
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize('name', ['HRNet', 'ResNeSt', 'PointHead'])
def test_whole_networks_are_compiled_as_one_graph(name):
    model = (with_backbone(name) if name in BACKBONES else with_head(name)).eval()
    with torch.no_grad():
        expected = model(image(65, 97))
        compiled = torch.compile(model._forward, backend='eager', fullgraph=True)
        torch.testing.assert_close(compiled(image(65, 97)), expected)
