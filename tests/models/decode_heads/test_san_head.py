"""The side adapter network and what CLIP sees under its masks."""
import pytest
import torch
import torch.nn.functional as F
from mmengine.structures import InstanceData, PixelData
from torch import nn

from mmseg.models.decode_heads.san_head import MLPMaskDecoder, RecWithAttnbias, SideAdapterNetwork
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from tests.golden import facts, fill, image, model_config, samples

CLIP, SIDE, QUERIES, HEADS, OUT = 16, 12, 4, 2, 6
SAN = dict(
    in_channels=3, clip_channels=CLIP, embed_dims=SIDE, patch_size=16, num_queries=QUERIES, fusion_index=[0, 1],
    cfg_encoder=dict(num_encode_layer=4, num_heads=2, mlp_ratio=2),
    cfg_decoder=dict(num_heads=HEADS, num_layers=1, embed_channels=8, mlp_channels=8, num_mlp=3, rescale=True))
REC = dict(sos_token_num=QUERIES, num_layers=2, embed_dims=CLIP, num_heads=HEADS, mlp_ratio=2, out_dims=OUT)
COSTS = [dict(type='ClassificationCost', weight=2.0), dict(type='CrossEntropyLossCost', weight=5.0, use_sigmoid=True),
         dict(type='DiceCost', weight=5.0, pred_act=True, eps=1.0)]
LOSSES = [dict(type='CrossEntropyLoss', loss_name='loss_cls_ce', loss_weight=2.0, class_weight=[1.0] * 3 + [0.1]),
          dict(type='CrossEntropyLoss', use_sigmoid=True, loss_name='loss_mask_ce', loss_weight=5.0),
          dict(type='DiceLoss', ignore_index=None, naive_dice=True, eps=1, loss_name='loss_mask_dice', loss_weight=5.0)]
HEAD = dict(type='SideAdapterCLIPHead', num_classes=3, san_cfg=SAN, maskgen_cfg=REC, deep_supervision_idxs=[3],
            train_cfg=dict(num_points=50, oversample_ratio=3.0, importance_sample_ratio=0.75,
                           assigner=dict(type='HungarianAssigner', match_costs=COSTS)),
            loss_decode=LOSSES)


def clip_features(height=4, width=6, count=2, batch=2):
    return [[torch.randn(batch, CLIP, height, width), torch.randn(batch, CLIP)] for _ in range(count)]


def head(**changes):
    return fill(MODELS.build({**HEAD, **changes}))


def inputs(size=(128, 192), classes=3):
    return image(*size, batch=2), clip_features(size[0] // 32, size[1] // 32), torch.randn(classes + 1, OUT)


@torch.no_grad()
def test_masks_and_vectors_are_those_of_1x():
    fact = facts('san.json')['image']
    config = model_config('san/san-vit-b16_coco-stuff164k-640x640')
    network = nn.Module()
    network.image_encoder = MODELS.build(config.image_encoder)
    network.decode_head = MODELS.build(config.decode_head)
    fill(network).eval()
    x = image(*fact['size'])
    features = network.image_encoder(F.interpolate(x, scale_factor=.5, mode='bilinear'))
    san, rec = network.decode_head.side_adapter_network, network.decode_head.rec_with_attnbias
    masks, biases = san(x, features, ())
    for name, found in (('masks', masks[0]), ('vectors', rec(biases[0], features[-1]))):
        wanted = torch.tensor(fact[name]['samples'], dtype=torch.float64)
        gap = (torch.from_numpy(samples(found, len(wanted))) - wanted).abs().max()
        assert list(found.shape) == fact[name]['shape'] and gap < 2e-4 * fact[name]['std']


# ---------------------------------------------------------------------------------------------- the masks

@torch.no_grad()
def test_mask_decoder():
    decoder = fill(MLPMaskDecoder(in_channels=SIDE, total_heads=2, total_layers=3, embed_channels=8, mlp_channels=5,
                                  rescale_attn_bias=True))
    query, x = torch.randn(2, QUERIES, SIDE), torch.randn(2, SIDE, 3, 5)
    masks, biases = decoder(query, x)
    vectors, places = decoder.query_mlp(query), decoder.pix_mlp(x)
    assert masks[1, 2, 0, 4] == pytest.approx(float(vectors[1, 2] @ places[1, :, 0, 4]), abs=1e-5)
    keys = decoder.attn_mlp(x)[:, (2 * 2 + 1) * 8:]  # the last layer's last head
    bias = decoder.bias_scaling((vectors[1, 2] @ keys[1, :, 0, 4])[None])
    assert len(biases) == 3 and biases[2].shape == (2, 2, QUERIES, 3, 5)
    assert biases[2][1, 1, 2, 0, 4] == pytest.approx(float(bias), abs=1e-5)


@torch.no_grad()
def test_clip_is_added_to_the_patches_alone():
    network = fill(SideAdapterNetwork(**SAN))
    x, feature = torch.randn(2, QUERIES + 6, SIDE), torch.randn(2, CLIP, 2, 3)
    fused = network.fuse_clip(1, x, feature, (2, 3), 6)
    torch.testing.assert_close(fused[:, :QUERIES], x[:, :QUERIES], rtol=0, atol=0)
    added = network.conv_clips[1](feature).flatten(2).transpose(1, 2)
    torch.testing.assert_close(fused[:, QUERIES:] - x[:, QUERIES:], added)


@torch.no_grad()
@pytest.mark.parametrize('asked, count', [((), 1), ([3], 2), ([4], 1), ([1, 2, 3], 4)])
def test_layers_count_from_one_and_the_last_is_always_there(asked, count):
    network = fill(SideAdapterNetwork(**SAN)).eval()
    x, features = image(65, 97), clip_features(2, 3, batch=1)
    outs = network.encode_feature(x, features, asked)
    assert len(outs) == count and outs[0][0].shape == (1, QUERIES, SIDE) and outs[0][1].shape == (1, SIDE, 4, 6)
    torch.testing.assert_close(outs[-1], network.encode_feature(x, features, ())[-1])
    layers = network.encode_layers
    hook = layers[2].register_forward_hook(lambda module, args, out: setattr(module, 'out', out))
    outs = network.encode_feature(x, features, [3])
    hook.remove()
    torch.testing.assert_close(outs[0][0], layers[2].out[:, :QUERIES])


def test_what_san_cfg_lacks():
    with pytest.raises(ValueError, match='cfg_encoder of the side adapter network is not given'):
        SideAdapterNetwork()


# ---------------------------------------------------------------------------------------------- inside CLIP

def rec(**changes):
    return fill(RecWithAttnbias(**{**REC, **changes})).eval()


@torch.no_grad()
def test_the_queries_leave_clip_as_it_is():
    module = rec()
    (patches, token), = clip_features(count=1)
    x = torch.cat([token[:, None], patches.flatten(2).transpose(1, 2)], dim=1)
    bias = torch.zeros(2, HEADS, QUERIES, 8, 12)
    seen = []
    for layer in module.layers:
        layer.register_forward_hook(lambda _, __, out: seen.append(out))
    module([bias], (patches, token))
    for found, layer in zip(list(seen), module.layers):
        x = layer(x)
        torch.testing.assert_close(found[:, QUERIES:], x)
    # A query without bias sees the patches and itself, as if it were a class token without the class token.
    alone = torch.cat([token[:, None], patches.flatten(2).transpose(1, 2)], dim=1)
    torch.testing.assert_close(seen[0][:, 0], module.layers[0](alone)[:, 0])
    torch.testing.assert_close(seen[0][:, :1].expand(-1, QUERIES, -1), seen[0][:, :QUERIES])


@torch.no_grad()
@pytest.mark.parametrize('cross', [False, True])
def test_a_bias_hides_patches(cross):
    module = rec(cross_attn=cross, num_layers=1)
    (patches, token), = clip_features(count=1)
    bias = torch.full((2, 1, QUERIES, 8, 12), -1e4)
    bias[:, :, 1, 2:4, 2:4] = 0  # query 1 sees the patch (1, 1)
    out = module([bias], (patches, token))
    other = patches.clone()
    other[:, :, 0, 0] = torch.randn(CLIP)
    torch.testing.assert_close(module([bias], (other, token)), out)
    other = patches.clone()
    other[:, :, 1, 1] = torch.randn(CLIP)
    changed = (module([bias], (other, token)) - out).abs().amax(dim=(0, 2))
    assert changed[1] > 1e-3 > changed[[0, 2, 3]].max()


@torch.no_grad()
def test_both_ways_of_attending_agree():
    (patches, token), = clip_features(count=1)
    bias = [torch.randn(2, HEADS, QUERIES, 8, 12)]
    joint, aside = rec(), rec(cross_attn=True)
    torch.testing.assert_close(aside(bias, (patches, token)), joint(bias, (patches, token)), rtol=1e-4, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize('form, has_token', [('cls_token', False), ('learnable_token', True), ('pos_embedding', True)])
def test_what_queries_start_with(form, has_token):
    module = rec(sos_token_format=form)
    token = torch.randn(2, CLIP)
    assert hasattr(module, 'sos_token') == has_token
    learned = module.sos_token[:, 0] if has_token else 0
    wanted = learned.expand(2, -1, -1) if form == 'learnable_token' else token[:, None] + learned
    torch.testing.assert_close(module._sos_tokens(token), wanted.expand(2, QUERIES, CLIP))


@torch.no_grad()
def test_final_norm_and_a_bias_for_each_layer():
    (patches, token), = clip_features(count=1)
    biases = [torch.randn(2, HEADS, QUERIES, 4, 6) for _ in range(2)]
    unit = rec()(biases, (patches, token))
    torch.testing.assert_close(unit.norm(dim=2), torch.ones(2, QUERIES))
    torch.testing.assert_close(F.normalize(rec(final_norm=False)(biases, (patches, token)), dim=2), unit)
    assert not torch.allclose(rec()(biases[:1], (patches, token)), unit)
    with pytest.raises(ValueError, match='3 attention biases of 2 heads do not fit 2 layers of 2 heads'):
        rec()(biases[:1] * 3, (patches, token))


def test_frozen_but_for_what_is_named():
    assert not any(parameter.requires_grad for parameter in RecWithAttnbias(**REC).parameters())
    module = RecWithAttnbias(**REC, frozen_exclude=['proj.'])
    assert {name for name, parameter in module.named_parameters() if parameter.requires_grad} == {
        'proj.weight', *(f'layers.{i}.attentions.0.attn.out_proj.{key}' for i in (0, 1) for key in ('weight', 'bias'))}
    assert all(parameter.requires_grad for parameter in RecWithAttnbias(**REC, frozen_exclude=['all']).parameters())
    with pytest.raises(ValueError, match="sos_token_format 'mean' is not one of cls_token"):
        RecWithAttnbias(sos_token_format='mean')


def test_weights_of_clip_are_taken():
    module, source = RecWithAttnbias(**REC), rec()
    module.init_weights(source.state_dict())
    torch.testing.assert_close(dict(module.state_dict()), dict(source.state_dict()), rtol=0, atol=0)


# ---------------------------------------------------------------------------------------------- the head

@torch.no_grad()
def test_logits_are_masks_times_classes():
    model, x = head().eval(), inputs()
    masks, scores = model(x, [3])
    assert len(masks) == len(scores) == 2 and masks[1].shape == (2, QUERIES, 8, 12)
    assert scores[1].shape == (2, QUERIES, 4)
    metas = [dict(img_shape=(100, 180), pad_shape=(128, 192))] * 2
    logits = model.predict(x, metas, None)
    large = F.interpolate(masks[1], (128, 192), mode='bilinear').sigmoid()
    wanted = (scores[1].softmax(2)[..., :-1].transpose(1, 2) @ large.flatten(2)).view(2, 3, 128, 192)
    torch.testing.assert_close(logits, wanted)
    small = model.predict_by_feat([masks[1], scores[1]], [dict(img_shape=(8, 12))])
    assert small.shape == (2, 3, 8, 12)
    torch.testing.assert_close(model.native_logits(x, metas, None).logits((128, 192)), wanted)


def test_a_subclass_may_predict_in_its_own_way():
    class Own(type(head())):
        def predict_by_feat(self, seg_logits, batch_img_metas):
            return seg_logits[0] * 0

    model = Own(**{key: value for key, value in HEAD.items() if key != 'type'})
    assert model.native_logits(inputs(), [dict(img_shape=(128, 192))] * 2, None).eq(0).all()


def truth(*labels):
    out = []
    for label in labels:
        sample = SegDataSample(metainfo=dict(img_shape=label.shape))
        sample.gt_sem_seg = PixelData(data=label[None])
        out.append(sample)
    return out


def test_losses():
    model, x = head(), inputs((64, 96))
    label = torch.zeros(64, 96, dtype=torch.long)
    label[:, 48:] = 2
    label[:3] = 255
    losses = model.loss(x, truth(label, label * 0 + 255), None)
    names = ['loss_cls_ce', 'loss_mask_ce', 'loss_mask_dice']
    assert sorted(losses) == sorted([*names, *(f'd3.{name}' for name in names)])
    sum(losses.values()).backward()
    frozen = [name for name, p in model.named_parameters() if name.startswith('rec')]
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert set(without) == set(frozen)


def test_losses_of_a_layer():
    model = head()
    masks = torch.full((1, QUERIES, 8, 8), -3.)
    masks[0, 2, :, :4] = 3  # query 2 has the left half, query 0 the right
    masks[0, 0, :, 4:] = 3
    scores = torch.zeros(1, QUERIES, 4)
    scores[0, 2, 1] = scores[0, 0, 2] = 4
    left = torch.zeros(1, 8, 8, dtype=torch.uint8)
    left[:, :, :4] = 1
    instances = [InstanceData(labels=torch.tensor([1, 2]), masks=torch.cat([left, 1 - left]))]
    model.train_cfg = dict(model.train_cfg, importance_sample_ratio=0.)
    losses = model._losses_of_layer(scores, masks, instances)
    weights = torch.tensor([1., .1, 1., .1])
    terms = -scores[0].log_softmax(1)[range(4), [2, 3, 1, 3]]
    assert losses['loss_cls_ce'] == pytest.approx(2 * float((weights * terms).sum() / weights.sum()), rel=1e-5)
    perfect = float(F.softplus(torch.tensor(-3.)))
    assert perfect <= losses['loss_mask_ce'] / 5 < .5  # but for points between two pixels
    assert 0 < losses['loss_mask_dice'] / 5 < .2
    turned = [InstanceData(labels=torch.tensor([1, 2]), masks=torch.cat([1 - left, left]))]
    again = model._losses_of_layer(scores, masks, turned)  # matched by the masks, which cost more than the classes
    assert again['loss_mask_ce'] / 5 < .5 and again['loss_cls_ce'] > losses['loss_cls_ce'] + 5


def test_images_without_any_class():
    model, x = head(), inputs((64, 96))
    nothing = torch.full((64, 96), 255)
    losses = model.loss(x, truth(nothing, nothing), None)
    assert losses['loss_mask_ce'] == losses['d3.loss_mask_dice'] == 0 and losses['loss_cls_ce'] > 0
    sum(losses.values()).backward()
    assert model.side_adapter_network.mask_decoder.pix_mlp.layers[0].weight.grad is not None


def test_labels_that_are_no_class():
    with pytest.raises(ValueError, match=r'labels hold 3 \(6144 pixels\), but num_classes=3 allows 0 to 2'):
        head().loss(inputs((64, 96)), truth(torch.zeros(64, 96).long(), torch.full((64, 96), 3)), None)


def test_numbers_that_do_not_fit():
    with pytest.raises(ValueError, match=r'num_queries=4 masks need as many tokens in CLIP, but \S+sos_token_num=5'):
        head(maskgen_cfg=dict(REC, sos_token_num=5))
    with pytest.raises(ValueError, match='num_classes=3 takes 3 texts and one for what is no class .* found 6'):
        head().loss(inputs((64, 96), classes=5), truth(*torch.zeros(2, 64, 96, dtype=torch.long)), None)


@torch.no_grad()
def test_start():
    model = MODELS.build(HEAD)
    model.init_weights()
    san = model.side_adapter_network
    assert san.pos_embed.std() == pytest.approx(.02, rel=.2) and san.query_embed.std() == pytest.approx(.02, rel=.5)
    assert san.conv_clips[0][1].conv.weight.abs().max() <= (3 / CLIP)**.5
    assert model.rec_with_attnbias.proj.weight.std() == pytest.approx(CLIP**-.5, rel=.3)
