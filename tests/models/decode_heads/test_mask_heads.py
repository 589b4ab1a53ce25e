"""MaskFormer and Mask2Former: what they learn from, what they predict."""
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.structures import InstanceData, PixelData

from mmseg.models.decode_heads import mask2former_head, maskformer_head
from mmseg.models.decode_heads.mask2former_head import _seen
from mmseg.models.decode_heads.maskformer_head import _padding
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from tests.golden import ROOT, facts, fill, image, model_config
from tests.models.networks import CHANNELS, HEADS, OF_MASKS

CONFIGS = sorted(path for folder in ('maskformer', 'mask2former') for path in (ROOT / 'configs' / folder).glob('*.py'))
ENCODED = dict(type='mmdet.TransformerEncoderPixelDecoder', norm_cfg=dict(type='GN', num_groups=2),
               positional_encoding=dict(num_feats=4, normalize=True), encoder=dict(num_layers=1, layer_cfg=dict(
                   self_attn_cfg=dict(embed_dims=8, num_heads=2), ffn_cfg=dict(embed_dims=8))))


def head(name, **options):
    return fill(MODELS.build(dict(HEADS[name], type=name, **options)))


def segmentor(name, test_cfg=None, **options):
    return fill(MODELS.build(dict(
        type='EncoderDecoder', backbone=dict(type='FourStrides'), decode_head=dict(HEADS[name], type=name, **options),
        test_cfg=test_cfg or dict(mode='whole')))).eval()


def features(height=64, width=96, batch=2):
    return [image(-(-height // stride), -(-width // stride), batch, channels, seed=stride)
            for channels, stride in zip(CHANNELS, (4, 8, 16, 32))]


def samples(labels):
    return [SegDataSample(metainfo=dict(img_shape=label.shape, pad_shape=label.shape),
                          gt_sem_seg=PixelData(data=label[None])) for label in labels]


def blocks(batch=2):
    label = (torch.arange(64)[:, None] // 20 + torch.arange(96) // 30) % 5
    label[:3] = 255
    return samples([label.roll(i, 1) for i in range(batch)])


def metas(height, width, batch=2):
    return [dict(img_shape=(height, width), pad_shape=(height, width))] * batch


@pytest.mark.parametrize('name', OF_MASKS)
@pytest.mark.parametrize('size', [(64, 96), (65, 97), (33, 70)])
@torch.no_grad()
def test_logits_are_sums_over_queries(name, size):
    model, inputs = head(name).eval(), features(*size)
    scores, masks = (part[-1] for part in model(inputs))
    masks = F.interpolate(masks, size, mode='bilinear', align_corners=False).sigmoid()
    expected = torch.einsum('bqc,bqhw->bchw', scores.softmax(-1)[..., :-1], masks)
    torch.testing.assert_close(model.predict(inputs, metas(*size), None), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('name', OF_MASKS)
@torch.no_grad()
def test_labels_are_those_of_the_logits(name):
    model, x = segmentor(name), image(65, 97, 2)
    data = [SegDataSample(metainfo=dict(img_shape=(60, 90), pad_shape=(65, 97), img_padding_size=(0, 7, 0, 5),
                                        ori_shape=(90, 135), flip=True, flip_direction='horizontal')) for _ in x]
    logits = model.encode_decode(x, [sample.metainfo for sample in data])
    assert logits.shape == (2, 5, 65, 97)
    for sample, full in zip(model.predict(x, data), logits):
        full = F.interpolate(full[None, :, :60, :90].flip(-1), (90, 135), mode='bilinear', align_corners=False)[0]
        label = sample.pred_sem_seg.data[0]
        torch.testing.assert_close(sample.seg_logits.data, full, rtol=1e-4, atol=1e-5)
        assert (label != full.argmax(0)).float().mean() < 1e-3


@pytest.mark.parametrize('name', OF_MASKS)
@torch.no_grad()
def test_windows_that_do_not_divide_the_image(name):
    model, x = segmentor(name, dict(mode='slide', crop_size=(64, 64), stride=(42, 42), window_batch=4)), image(97, 131)
    total, count = torch.zeros(1, 5, 97, 131), torch.zeros(97, 131)
    for top in (0, 33):
        for left in (0, 42, 67):
            window = (slice(top, top + 64), slice(left, left + 64))
            total[(..., *window)] += model.encode_decode(x[(..., *window)], metas(64, 64, 1))
            count[window] += 1
    sample, = model.predict(x)
    torch.testing.assert_close(sample.seg_logits.data, (total / count)[0], rtol=1e-4, atol=1e-5)
    assert sample.pred_sem_seg.data.shape == (1, 97, 131)


@pytest.mark.parametrize('name', OF_MASKS)
@torch.no_grad()
def test_only_training_keeps_every_layer(name):
    model, inputs = head(name), features()
    every, last = model.train()(inputs), model.eval()(inputs)
    assert [len(part) for part in every] == [3 if name == 'MaskFormerHead' else 4] * 2
    assert [len(part) for part in last] == [1, 1]
    for one, other in zip(every, last):
        torch.testing.assert_close(one[-1], other[0])


@pytest.mark.parametrize('pixel_decoder', [None, ENCODED])
@torch.no_grad()
def test_queries_do_not_see_padding(pixel_decoder):
    model = head('MaskFormerHead', **(dict(pixel_decoder=pixel_decoder) if pixel_decoder else {})).eval()
    inputs = features(64, 64, 1)
    padded = [F.pad(x, (0, x.shape[3] // 2), value=7.) for x in inputs]
    sample = SegDataSample(metainfo=dict(img_shape=(64, 64), pad_shape=(64, 96)))
    whole = SegDataSample(metainfo=dict(img_shape=(64, 96), pad_shape=(64, 96)))
    expected = model(inputs)[0]
    torch.testing.assert_close(model(padded, [sample])[0], expected, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(model(padded, [whole])[0], expected, atol=1e-3)


def test_padding_in_places_of_a_feature():
    found = _padding([dict(img_shape=(64, 65), pad_shape=(64, 128)), dict(img_shape=(32, 128), pad_shape=(64, 128)),
                      dict(img_shape=(64, 128))], torch.empty(3, 1, 2, 4))
    assert found.tolist() == [[[False, False, False, True]] * 2, [[False] * 4, [True] * 4], [[False] * 4] * 2]
    assert _padding(metas(64, 96), torch.empty(2, 1, 2, 3)) is None and _padding([], torch.empty(2, 1, 2, 3)) is None


def test_an_empty_mask_sees_everything():
    masks = torch.full((1, 3, 4, 4), -1.)
    masks[0, 0, :2, :2] = 1
    assert _seen(masks, (2, 2)).tolist() == [[[[True, False, False, False], [True] * 4, [True] * 4]]]


@pytest.mark.parametrize('name', OF_MASKS)
def test_images_without_labels_leave_every_parameter_in_the_graph(name):
    model = head(name).train()
    losses = model.loss(features(), samples([torch.full((64, 96), 255)] * 2), None)
    assert all(value.isfinite() for value in losses.values())
    assert all(value == 0 for key, value in losses.items() if key.endswith(('mask', 'dice')))
    assert losses['loss_cls'] > 0
    sum(losses.values()).backward()
    assert [key for key, p in model.named_parameters() if p.grad is None] == []
    assert all(p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize('name', OF_MASKS)
def test_losses_under_autocast_are_near_the_exact_ones(name):
    model, found = head(name).train(), []
    for enabled in (False, True):
        torch.manual_seed(0)
        with torch.autocast('cpu', torch.bfloat16, enabled=enabled):
            found.append(model.loss(features(), blocks(), None))
    assert all(value.dtype == torch.float32 for value in found[1].values())
    assert abs(sum(found[1].values()) / sum(found[0].values()) - 1) < 0.1


def matched_by_hand(model, classes, logits):
    """Losses of three queries of which 0 and 2 draw the masks of classes 1 and 3."""
    model.num_queries = model.matcher.num_queries = 3
    masks = torch.zeros(2, 8, 8)
    masks[0, :, :4], masks[1, :4, 4:] = 1, 1
    instance = InstanceData(labels=torch.tensor([1, 3]), masks=masks.byte())
    return model.loss_by_feat(classes[None, None], logits[None, None], [instance]), masks


def one_layer():
    torch.manual_seed(1)
    logits = torch.randn(3, 4, 4)
    logits[0, :, :2] += 6
    logits[0, :, 2:] -= 6
    logits[2] -= 6
    logits[2, :2, 2:] += 12
    return torch.randn(3, 6), logits


def class_loss(classes):
    labels = torch.tensor([1, 5, 3])
    weight = torch.tensor([1., 0.1, 1.])
    return (F.cross_entropy(classes, labels, reduction='none') * weight).sum() / weight.sum()


def test_losses_of_whole_masks():
    classes, logits = one_layer()
    losses, masks = matched_by_hand(head('MaskFormerHead', loss_dice=dict(
        type='mmdet.DiceLoss', naive_dice=True, eps=1.0, loss_weight=2.0)), classes, logits)
    large = F.interpolate(logits[None], (8, 8), mode='bilinear', align_corners=False)[0, [0, 2]]
    prob = large.sigmoid()
    focal = torch.where(masks == 1, -0.25 * (1 - prob)**2 * prob.log(), -0.75 * prob**2 * (1 - prob).log())
    dice = 1 - (2 * (prob * masks).sum((1, 2)) + 1) / (prob.sum((1, 2)) + masks.sum((1, 2)) + 1)
    torch.testing.assert_close(losses, dict(loss_cls=class_loss(classes), loss_mask=20 * focal.mean(),
                                            loss_dice=2 * dice.mean()), rtol=1e-4, atol=1e-6)


def test_losses_at_points(monkeypatch):
    """At the centres of the logits, between which nothing is interpolated."""
    centre = (torch.arange(4) + 0.5) / 4
    points = torch.stack(torch.meshgrid(centre, centre, indexing='xy'), -1).view(1, 16, 2)
    monkeypatch.setattr(mask2former_head, 'get_uncertain_point_coords_with_randomness',
                        lambda logits, *options: points.expand(len(logits), -1, -1))
    classes, logits = one_layer()
    losses, masks = matched_by_hand(head('Mask2FormerHead', loss_mask=dict(
        type='mmdet.CrossEntropyLoss', use_sigmoid=True, loss_weight=5.)), classes, logits)
    drawn, masks = logits[[0, 2]], masks[:, ::2, ::2]
    prob = drawn.sigmoid()
    dice = 1 - (2 * (prob * masks).sum((1, 2)) + 1e-3) / (prob.sum((1, 2)) + masks.sum((1, 2)) + 1e-3)
    torch.testing.assert_close(losses, dict(
        loss_cls=class_loss(classes), loss_mask=5 * F.binary_cross_entropy_with_logits(drawn, masks),
        loss_dice=dice.mean()), rtol=1e-4, atol=1e-6)


def test_losses_of_a_published_network():
    """The draws of random points are those of 1.x, too."""
    (name, fact), = facts('mask_losses.json').items()
    model = fill(revert_sync_batchnorm(MODELS.build(model_config(name)))).train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.
    rng = np.random.default_rng(2000)
    label = np.repeat(np.repeat(rng.integers(0, 19, (2, 8, 12)), 17, 1), 17, 2)[:, :128, :192]
    label[:, :3] = 255
    torch.manual_seed(0)
    with torch.no_grad():
        losses = model.loss(image(128, 192, 2, seed=3), samples(torch.as_tensor(label).long()))
    assert {key: value.item() for key, value in losses.items()} == pytest.approx(fact, rel=1e-3)


def test_masks_are_averaged_over_all_processes(monkeypatch):
    model, inputs = head('MaskFormerHead').eval(), features()
    alone = model.loss(inputs, blocks(), None)
    monkeypatch.setattr(maskformer_head, 'all_reduce', lambda tensor, op: tensor.mul_(2))
    together = model.loss(inputs, blocks(), None)
    for key, share in (('loss_cls', 1), ('loss_mask', 0.5), ('loss_dice', 0.5)):
        torch.testing.assert_close(together[key], share * alone[key])


@pytest.mark.parametrize('name', OF_MASKS)
@torch.no_grad()
def test_a_prediction_of_ones_own_is_respected(name):
    model = segmentor(name)
    cls = type(model.decode_head)
    third = torch.eye(5)[3].view(1, 5, 1, 1).expand(-1, -1, 9, 9)
    model.decode_head.__class__ = type('Own', (cls,), dict(predict=lambda self, x, batch_img_metas, test_cfg: third))
    assert model.predict(image(65, 97))[0].pred_sem_seg.data.unique().tolist() == [3]


@pytest.mark.parametrize('name', OF_MASKS)
@torch.no_grad()
def test_compiles_as_one_graph(name):
    one = dict(HEADS[name]['transformer_decoder'], num_layers=1)
    model = segmentor(name, transformer_decoder=one)
    compiled = torch.compile(model._forward, backend='eager', fullgraph=True)
    torch.testing.assert_close(compiled(image(65, 97)), model._forward(image(65, 97)))


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_layers_with_a_rate_of_their_own_exist(path):
    config = Config.fromfile(path)
    with torch.device('meta'):
        model = MODELS.build(config.model)
    names = [name for name, _ in model.named_parameters()]
    keys = config.optim_wrapper.paramwise_cfg.custom_keys
    unused = [key for key in keys if not any(key in name for name in names)]
    assert set(unused) <= {'absolute_pos_embed'}  # which these backbones can have, but do not
    optimizer = build_optim_wrapper(model, config.optim_wrapper).optimizer
    options = {id(group['params'][0]): group for group in optimizer.param_groups}
    for name, parameter in model.named_parameters():
        if name.startswith('decode_head.query_') or name == 'decode_head.level_embed.weight':
            decays = 'query_embed' not in keys  # as in MaskFormer with a ResNet
            group = options[id(parameter)]
            assert (group['weight_decay'] > 0) == decays and group['lr'] == config.optim_wrapper.optimizer.lr


@pytest.mark.parametrize('name', OF_MASKS)
def test_weights_start_as_in_the_paper(name):
    model = segmentor(name, enforce_decoder_input_project=True)
    model.init_weights()
    matrix = model.decode_head.transformer_decoder.layers[0].ffn.layers[0][0].weight  # 16 x 8
    assert matrix.abs().max() < (0.5 if name == 'MaskFormerHead' else 2) and matrix.std() > 0.2
    projection = next(module for key, module in model.decode_head.named_modules()
                      if key.startswith('decoder_input_proj') and isinstance(module, torch.nn.Conv2d))
    assert projection.bias.abs().sum() == 0


@pytest.mark.parametrize(('name', 'options', 'message'), [
    ('MaskFormerHead', dict(loss_cls=dict(type='mmdet.CrossEntropyLoss', class_weight=[1.] * 5)),
     'has 5 numbers: num_classes=5 and no object need 6'),
    ('MaskFormerHead', dict(train_cfg=dict(sampler=dict(type='mmdet.RandomSampler'))), "'mmdet.RandomSampler' is not"),
    ('MaskFormerHead', dict(train_cfg=dict(num_points=3)), 'without an assigner'),
    ('MaskFormerHead', dict(in_index=[0, 1]), 'must have one length'),
    ('MaskFormerHead', dict(positional_encoding=dict(num_feats=6)),
     'feat_channels=8 must equal embed_dims=8 of transformer_decoder and twice num_feats=6'),
    ('Mask2FormerHead', dict(num_transformer_feat_level=4), 'needs as many levels .* num_outs=3')])
def test_options_that_do_not_fit_are_named(name, options, message):
    with pytest.raises(ValueError, match=message):
        head(name, **options)


def test_features_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r'made for \[4, 8, 12, 20\] channels .* gets \[4, 8, 12, 16\]'):
        segmentor('MaskFormerHead', in_channels=[4, 8, 12, 20])


def test_what_training_needs():
    with pytest.raises(ValueError, match='cannot learn without train_cfg'):
        head('MaskFormerHead', train_cfg=None).loss(features(), blocks(), None)
    wrong = blocks()
    wrong[1].gt_sem_seg.data[0, 40:42, :10] = 7
    with pytest.raises(ValueError, match=r'labels hold 7 \(20 pixels\), but num_classes=5'):
        head('MaskFormerHead').loss(features(), wrong, None)


def test_weights_of_classes_have_a_default():
    open_weights = dict(type='mmdet.CrossEntropyLoss', class_weight=None)
    for options in ({}, dict(loss_cls=open_weights)):
        assert head('MaskFormerHead', **options).class_weight == [1.] * 5 + [0.1]
