import pytest
import torch
from mmengine.structures import PixelData

from mmseg.models.decode_heads.point_head import PointHead, calculate_uncertainty
from mmseg.ops import resize
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from tests.golden import fill, image
from tests.models.networks import PLAIN

TRAIN_CFG = dict(num_points=30, oversample_ratio=3, importance_sample_ratio=0.75)
TEST_CFG = dict(subdivision_steps=2, subdivision_num_points=40, scale_factor=2)
METAS = [dict(img_shape=(32, 48), pad_shape=(32, 48))] * 2


def head(**options):
    return fill(PointHead(**dict(dict(in_channels=[4], in_index=[0], channels=6, num_classes=5), **options))).eval()


def features():
    return [image(8, 12, 2, 4)]


def coarse(classes=5):
    return image(8, 12, 2, classes, seed=1)


def test_uncertainty_is_the_margin_of_the_two_best():
    logits = torch.tensor([[[[1., 5]], [[4, 3]], [[2, 3.5]]]])
    assert calculate_uncertainty(logits).tolist() == [[[[-2, -1.5]]]]
    assert calculate_uncertainty(torch.tensor([[[3., -2]]])).tolist() == [[[-3, -2]]]


@pytest.mark.parametrize('each', [True, False])
def test_coarse_logits_reach_the_layers(each):
    model = head(coarse_pred_each_layer=each, num_fcs=2)
    assert [fc.conv.in_channels for fc in model.fcs] == [9, 11 if each else 6]
    assert model.fc_seg.in_channels == (11 if each else 6)
    assert not hasattr(model, 'conv_seg')
    assert model(image(1, 7, 2, 4)[:, :, 0], image(1, 7, 2, 5)[:, :, 0]).shape == (2, 5, 7)


def test_most_uncertain_places_of_a_map():
    logits = torch.zeros(1, 2, 3, 4)
    logits[:, 0] = torch.arange(12.).view(3, 4).flip(1)  # the margin: smallest at the end of the first row
    index, points = head().get_points_test(logits, calculate_uncertainty, dict(subdivision_num_points=2))
    assert index.tolist() == [[3, 2]]
    torch.testing.assert_close(points, torch.tensor([[[0.875, 1 / 6], [0.625, 1 / 6]]]))
    index, points = head().get_points_test(logits, calculate_uncertainty, dict(subdivision_num_points=99))
    assert sorted(index[0].tolist()) == list(range(12)) and points.shape == (1, 12, 2)


def test_prediction_replaces_the_uncertain_logits_alone():
    model, inputs, before = head(), features(), coarse()
    with torch.no_grad():
        refined = model.predict(inputs, before, METAS, dict(TEST_CFG, subdivision_steps=1))
    enlarged = resize(before, (16, 24), mode='bilinear', align_corners=False)
    index, points = model.get_points_test(enlarged, calculate_uncertainty, TEST_CFG)
    expected = enlarged.flatten(2).clone()
    for b in range(2):
        expected[b, :, index[b]] = model._classify(inputs, before, points)[b].detach()
    expected = resize(expected.view_as(enlarged), (32, 48), mode='bilinear', align_corners=False)
    torch.testing.assert_close(refined, expected)


@pytest.mark.parametrize('steps, size', [(0, (32, 48)), (2, (32, 48)), (3, (32, 48))])
def test_prediction_has_the_size_of_the_input(steps, size):
    before = coarse()
    out = head().predict(features(), before, METAS, dict(TEST_CFG, subdivision_steps=steps))
    assert out.shape == (2, 5, *size)
    assert torch.equal(before, coarse())  # the logits of the head before are left as they were


def samples(classes=5):
    label = (torch.arange(32)[:, None] // 8 + torch.arange(48)[None] // 8) % classes
    return [SegDataSample(gt_sem_seg=PixelData(data=label[None]))] * 2


def test_losses_are_those_of_the_labels_at_the_points():
    model = head()
    x, y = torch.tensor([3, 40, 20]), torch.tensor([5, 30, 11])
    points = torch.stack([(x + 0.5) / 48, (y + 0.5) / 32], -1).expand(2, -1, -1)
    logits = image(1, 3, 2, 5)[:, :, 0]
    losses = model.loss_by_feat(logits, points, samples())
    wanted = samples()[0].gt_sem_seg.data[0, y, x].expand(2, -1)
    torch.testing.assert_close(losses['pointloss_ce'], torch.nn.functional.cross_entropy(logits, wanted))
    right = 100 * (logits.argmax(1) == wanted).float().mean()
    torch.testing.assert_close(losses['acc_point'], right[None], rtol=1e-4, atol=1e-4)
    assert set(model.loss(features(), coarse(), samples(), TRAIN_CFG)) == {'pointloss_ce', 'acc_point'}


def test_two_classes_by_one_logit():
    model = head(num_classes=2, out_channels=1, threshold=0.5, loss_decode=dict(type='CrossEntropyLoss',
                                                                               use_sigmoid=True))
    losses = model.loss(features(), coarse(1), samples(2), TRAIN_CFG)
    losses['pointloss_ce'].backward()
    assert all(p.grad is not None for p in model.parameters())
    assert model.predict(features(), coarse(1), METAS, TEST_CFG).shape == (2, 1, 32, 48)


@pytest.mark.parametrize('call, words', [
    (lambda model: model.loss(features(), coarse(), samples(), {}),
     'num_points, oversample_ratio, importance_sample_ratio from the train_cfg'),
    (lambda model: model.loss(features(), coarse(), samples(), None), 'train_cfg'),
    (lambda model: model.predict(features(), coarse(), METAS, dict(mode='whole', scale_factor=2)),
     'from the test_cfg of the model: add subdivision_steps$'),
])
def test_missing_settings_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call(head())


def test_the_bare_network_gives_the_refined_logits():
    """`mode='tensor'`, which tools that count or export use."""
    point = dict(type='PointHead', in_channels=[4], in_index=[0], channels=6, num_classes=5)
    model = fill(MODELS.build(dict(type='CascadeEncoderDecoder', num_stages=2, backbone=dict(type='FourStrides'),
                                   decode_head=[PLAIN, point], test_cfg=dict(TEST_CFG, mode='whole')))).eval()
    with torch.no_grad():
        out = model(image(65, 97))
        whole = model.encode_decode(image(65, 97), [dict(img_shape=(65, 97), pad_shape=(65, 97))])
    torch.testing.assert_close(out, whole)
