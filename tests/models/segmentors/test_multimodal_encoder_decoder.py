"""Image and text encoders below a decode head: SAN as a whole, in small."""
import pytest
import torch
import torch.nn.functional as F
from mmengine.structures import PixelData

from mmseg.models.text_encoder import clip_text_encoder
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from mmseg.utils.errors import CheckpointError
from tests.golden import fill, image
from tests.models.decode_heads.test_san_head import HEAD, OUT
from tests.models.text_encoder.test_clip_text_encoder import TINY, WORDS, WordTokenizer

TEXT = dict(TINY, type='CLIPTextEncoder', output_dims=OUT, vocabulary=['cat', 'dog', 'bird'])
IMAGE = dict(type='VisionTransformer', img_size=(64, 64), patch_size=16, patch_pad=0, embed_dims=16, num_layers=2,
             num_heads=2, out_origin=True, out_indices=(0, 1), output_cls_token=True, pre_norm=True,
             act_cfg=dict(type='QuickGELU'), frozen_exclude=['pos_embed'])


@pytest.fixture(autouse=True)
def tokenizer(monkeypatch, tmp_path):
    words = WordTokenizer({word: i + 1 for i, word in enumerate(WORDS)}, TINY['total_vocab_size'])
    monkeypatch.setattr(clip_text_encoder, 'clip_tokenizer', lambda path: words)
    monkeypatch.setenv('MMSEG_CACHE', str(tmp_path / 'cache'))


def network(**changes):
    torch.manual_seed(0)
    config = dict(type='MultimodalEncoderDecoder', image_encoder=IMAGE, text_encoder=TEXT, decode_head=HEAD,
                  encoder_resolution=0.5, test_cfg=dict(mode='whole'))
    return fill(MODELS.build({**config, **changes})).eval()


def metas(*size, batch=1):
    return [dict(ori_shape=size, img_shape=size, pad_shape=size, padding_size=(0, 0, 0, 0))] * batch


@torch.no_grad()
@pytest.mark.parametrize('size', [(128, 192), (65, 97)])
def test_the_head_gets_image_features_and_texts(size):
    model, x = network(), image(*size)
    half = F.interpolate(x, scale_factor=0.5, mode='bilinear')
    features = model.image_encoder(half)
    assert [feature.shape[2:] for feature, _ in features] == [(size[0] // 32, size[1] // 32)] * 3
    wanted = model.decode_head.predict((x, features, model.text_encoder()), metas(*size), None)
    assert wanted.shape == (1, 3, *size)
    torch.testing.assert_close(model.encode_decode(x, metas(*size)), wanted)
    torch.testing.assert_close(model(x)[0][-1], model.decode_head((x, features, model.text_encoder()), ())[0][-1])


@torch.no_grad()
def test_the_encoder_may_see_the_whole_image():
    model, x = network(asymetric_input=False, encoder_resolution=None), image(64, 96)
    torch.testing.assert_close(model.extract_feat(x), model.image_encoder(x))
    with pytest.raises(ValueError, match='asymetric_input=True needs encoder_resolution'):
        network(encoder_resolution=None)


@torch.no_grad()
@pytest.mark.parametrize('mode', ['whole', 'slide'])
def test_labels_are_the_largest_logits(mode):
    model = network(test_cfg=dict(mode=mode, crop_size=(64, 64), stride=(48, 48)))
    size = (100, 150)  # which the crop does not divide
    x = image(*size, batch=2)
    described = [SegDataSample(metainfo=meta) for meta in metas(*size, batch=2)]
    logits = model.inference(x, metas(*size, batch=2))
    assert logits.shape == (2, 3, *size)
    for i, sample in enumerate(model.predict(x, described)):
        assert sample.pred_sem_seg.data.shape == (1, *size)
        agree = sample.pred_sem_seg.data[0] == logits[i].argmax(0)
        margin = logits[i].topk(2, dim=0).values.diff(dim=0)[0].abs()
        assert agree[margin > 1e-4].all() and agree.float().mean() > .99
        torch.testing.assert_close(sample.seg_logits.data, logits[i])


@torch.no_grad()
def test_windows_are_averaged():
    model = network(test_cfg=dict(mode='slide', crop_size=(64, 64), stride=(48, 48)))
    x = image(64, 100)
    first, last = (model.encode_decode(x[..., left:left + 64], metas(64, 64)) for left in (0, 36))
    logits = model.slide_inference(x, metas(64, 100))
    torch.testing.assert_close(logits[..., :36], first[..., :36])
    torch.testing.assert_close(logits[..., 64:], last[..., 28:])
    torch.testing.assert_close(logits[..., 36:64], (first[..., 36:] + last[..., :28]) / 2)


@pytest.mark.parametrize('autocast', [False, True])
def test_a_training_step(autocast):
    model = network().train()
    samples = []
    for meta in metas(64, 96, batch=2):
        sample = SegDataSample(metainfo=meta)
        sample.gt_sem_seg = PixelData(data=torch.randint(0, 3, (1, 64, 96)))
        samples.append(sample)
    with torch.autocast('cpu', torch.bfloat16, enabled=autocast):
        losses = model.loss(image(64, 96, batch=2), samples)
    assert sorted(losses) == sorted(f'decode.{prefix}{name}' for prefix in ('', 'd3.') for name in (
        'loss_cls_ce', 'loss_mask_ce', 'loss_mask_dice'))
    sum(losses.values()).backward()
    learning = {name for name, p in model.named_parameters() if p.requires_grad}
    assert {name.split('.')[1] for name in learning} == {'pos_embed', 'bg_embed', 'side_adapter_network'}
    assert {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0} == learning


def test_weights_of_clip(tmp_path):
    source = network()
    file = tmp_path / 'clip.pth'
    parts = ('image_encoder.', 'text_encoder.', 'decode_head.rec_with_attnbias.')
    state = {key: value for key, value in source.state_dict().items() if key.startswith(parts)}
    state['image_encoder.pos_embed'] = torch.randn(1, 1 + 9, 16)  # of a smaller image
    del state['text_encoder.bg_embed']
    torch.save(dict(state_dict=state), file)
    model = network(pretrained=str(file))
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)
    model.init_weights()
    found = model.state_dict()
    assert found['image_encoder.pos_embed'].shape == (1, 17, 16)
    torch.testing.assert_close(found['image_encoder.pos_embed'][:, 0], state.pop('image_encoder.pos_embed')[:, 0])
    torch.testing.assert_close({key: found[key] for key in state}, state, rtol=0, atol=0)
    assert model.text_encoder.bg_embed.abs().sum() > 0
    assert model.decode_head.side_adapter_network.query_embed.abs().sum() > 0

    torch.save(dict(state_dict={'blocks.0.attn.qkv.weight': torch.ones(2)}), file)
    with pytest.raises(CheckpointError, match=r"no weights that begin with 'image_encoder\.': .*clip2mmseg\.py"):
        model.init_weights()


def test_the_names_can_be_others_than_in_training():
    model, x = network(), image(64, 96)
    model.text_encoder.vocabulary = ['cat', 'bird']
    with torch.no_grad():
        assert model.encode_decode(x, metas(64, 96)).shape == (1, 2, 64, 96)


@torch.no_grad()
def test_compiles_as_one_graph_and_takes_channels_last():
    model, x = network(), image(65, 97)
    wanted = model._forward(x)  # now the vectors of the classes are kept
    compiled = torch.compile(model._forward, backend='eager', fullgraph=True)
    torch.testing.assert_close(compiled(x), wanted)
    last = dict(memory_format=torch.channels_last)
    torch.testing.assert_close(model.to(**last)._forward(x.to(**last)), wanted)
