import pytest
import torch
from mmengine.structures import PixelData
from torch import nn

from mmseg.models.decode_heads.cascade_decode_head import BaseCascadeDecodeHead
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample


class Stride4(nn.Module):
    """Two features, of stride 2 and 4."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 6, 3, 2, 1)

    def forward(self, x):
        first = self.first(x)
        return first, self.second(first)


class PlainHead(BaseDecodeHead):

    def forward(self, inputs):
        return self.cls_seg(self._transform_inputs(inputs))


class RefiningHead(BaseCascadeDecodeHead):

    def forward(self, inputs, prev_output):
        return prev_output + self.cls_seg(self._transform_inputs(inputs))


class DoublingHead(PlainHead):
    """A head with a way of its own to predict."""

    def predict_by_feat(self, seg_logits, batch_img_metas):
        return 2 * super().predict_by_feat(seg_logits, batch_img_metas)


HEAD = dict(type=PlainHead, in_channels=6, channels=6, num_classes=5)


def build(kind='EncoderDecoder', head=HEAD, test_cfg=None, **kwargs):
    torch.manual_seed(0)
    return MODELS.build(dict(type=kind, backbone=dict(type=Stride4), decode_head=head,
                             test_cfg=test_cfg or dict(mode='whole'), **kwargs)).eval()


def samples(number, height, width):
    labels = torch.arange(height * width).reshape(1, height, width) % 5
    return [SegDataSample(metainfo=dict(ori_shape=(height, width), img_shape=(height, width)),
                          gt_sem_seg=PixelData(data=labels)) for _ in range(number)]


def test_prediction_is_the_argmax_of_encode_decode():
    model, image = build(), torch.randn(2, 3, 33, 50)
    logits = model.encode_decode(image, [s.metainfo for s in samples(2, 33, 50)])
    assert logits.shape == (2, 5, 33, 50)
    for result, expected in zip(model.predict(image, samples(2, 33, 50)), logits):
        assert torch.equal(result.pred_sem_seg.data, expected.argmax(0, keepdim=True))
        assert torch.equal(result.seg_logits.data, expected)
    assert torch.equal(model.predict(image)[1].seg_logits.data, logits[1])


def test_heads_with_their_own_prediction_are_asked():
    image, meta = torch.randn(1, 3, 32, 32), [dict(img_shape=(32, 32))]
    ours, doubled = (build(head={**HEAD, 'type': kind}) for kind in (PlainHead, DoublingHead))
    torch.testing.assert_close(doubled.encode_decode(image, meta), 2 * ours.encode_decode(image, meta))


@pytest.mark.parametrize('window_batch', [1, 4, 100])
def test_slide_averages_windows(window_batch):
    model = build(test_cfg=dict(mode='slide', crop_size=(32, 32), stride=(20, 20), window_batch=window_batch))
    image, metas = torch.randn(2, 3, 50, 61), [s.metainfo for s in samples(2, 50, 61)]
    total, count = torch.zeros(2, 5, 50, 61), torch.zeros(50, 61)
    for top in (0, 18):
        for left in (0, 20, 29):
            place = (..., slice(top, top + 32), slice(left, left + 32))
            total[place] += model.encode_decode(image[place], metas)
            count[place] += 1
    torch.testing.assert_close(model.inference(image, metas), total / count)
    predicted = model.predict(image, samples(2, 50, 61))[0]
    assert torch.equal(predicted.pred_sem_seg.data[0], (total / count)[0].argmax(0))


def test_unknown_mode_is_refused():
    with pytest.raises(ValueError, match="found 'slid'"):
        build(test_cfg=dict(mode='slid')).predict(torch.zeros(1, 3, 8, 8))


def test_losses_are_named_by_head():
    auxiliary = {**HEAD, 'in_channels': 4, 'channels': 4, 'in_index': 0}
    image, labels = torch.randn(2, 3, 32, 32), samples(2, 32, 32)
    assert set(build(auxiliary_head=auxiliary).loss(image, labels)) == {
        'decode.loss_ce', 'decode.acc_seg', 'aux.loss_ce', 'aux.acc_seg'}
    assert set(build(auxiliary_head=[auxiliary, auxiliary]).loss(image, labels)) == {
        f'{part}.{name}' for part in ('decode', 'aux_0', 'aux_1') for name in ('loss_ce', 'acc_seg')}


def test_losses_of_one_name_are_added():
    losses = [dict(type='CrossEntropyLoss', loss_weight=weight) for weight in (1.0, 0.5)]
    image, labels = torch.randn(2, 3, 32, 32), samples(2, 32, 32)
    one, two = build(), build(head={**HEAD, 'loss_decode': losses})
    once, twice = (model.loss(image, labels)['decode.loss_ce'] for model in (one, two))
    torch.testing.assert_close(twice, 1.5 * once)


def test_cascade_refines_and_names_its_stages():
    heads = [HEAD, {**HEAD, 'type': RefiningHead}]
    model = build('CascadeEncoderDecoder', heads, num_stages=2)
    image, labels = torch.randn(1, 3, 32, 32), samples(1, 32, 32)
    first, second = model.decode_head
    features = model.extract_feat(image)
    expected = second.forward(features, first.forward(features))
    assert torch.equal(model(image), expected)
    assert set(model.loss(image, labels)) == {f'decode_{i}.{name}' for i in (0, 1) for name in ('loss_ce', 'acc_seg')}
    with pytest.raises(ValueError, match='num_stages=3 heads, found 2'):
        build('CascadeEncoderDecoder', heads, num_stages=3)


def test_views_are_merged_by_probability():
    model, image = build(), torch.randn(1, 3, 32, 32)
    flipped = dict(ori_shape=(32, 32), img_shape=(32, 32), flip=True, flip_direction='horizontal')
    plain = dict(ori_shape=(32, 32), img_shape=(32, 32))
    parts = [model.encode_decode(image, [plain])[0], model.encode_decode(image.flip(-1), [plain])[0].flip(-1)]
    expected = sum(part.softmax(0) for part in parts).argmax(0)
    labels, = model.aug_test([image, image.flip(-1)], [[plain], [flipped]])
    assert (labels == expected.numpy()).all()
    tta = MODELS.build(dict(type='SegTTAModel', module=model))
    views = [model.predict(view, [SegDataSample(metainfo=meta)])[0]
             for view, meta in ((image, plain), (image.flip(-1), flipped))]
    assert torch.equal(tta.merge_preds([views])[0].pred_sem_seg.data[0], expected)


@pytest.mark.parametrize('options, words', [
    (dict(in_channels=[4, 6]), 'must be integers'),
    (dict(in_channels=[4, 6], in_index=[0], input_transform='resize_concat'), 'of one length'),
    (dict(input_transform='concat'), 'is not known'),
    (dict(out_channels=3), 'out_channels=3 and num_classes=5'),
])
def test_heads_that_do_not_fit_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        build(head={**HEAD, **options})


def test_pretrained_is_given_once():
    with pytest.raises(ValueError, match='keep one'):
        MODELS.build(dict(type='EncoderDecoder', pretrained='a', backbone=dict(type=Stride4, pretrained='b'),
                          decode_head=HEAD))
