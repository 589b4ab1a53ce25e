"""VPD on a small diffusion model of the same make, beside the network said plainly, and its published sizes."""
import math

import pytest
import torch
import torch.nn.functional as F

from mmseg.models.backbones.vpd import AttentionStore, UNetWrapper
from mmseg.models.utils.latent_diffusion import AutoencoderKL, DiffusionWrapper, UNetModel
from mmseg.registry import MODELS
from mmseg.utils.config import read_config
from mmseg.utils.errors import CheckpointError
from tests.golden import fill, image

TEXT_DIM = 24


def diffusion_cfg(checkpoint=None, **unet):
    return dict(target='ldm.models.diffusion.ddpm.LatentDiffusion', checkpoint=checkpoint, params=dict(
        unet_config=dict(target='ldm.modules.diffusionmodules.openaimodel.UNetModel', params=dict(dict(
            image_size=32, in_channels=4, out_channels=4, model_channels=32, attention_resolutions=[4, 2, 1],
            num_res_blocks=1, channel_mult=[1, 1, 2, 2], num_heads=2, use_spatial_transformer=True,
            transformer_depth=1, context_dim=TEXT_DIM, use_checkpoint=False, legacy=False), **unet)),
        first_stage_config=dict(target='ldm.models.autoencoder.AutoencoderKL', params=dict(
            embed_dim=4, ddconfig=dict(double_z=True, z_channels=4, resolution=64, in_channels=3, out_ch=3, ch=32,
                                       ch_mult=[1, 1, 2, 2], num_res_blocks=1, attn_resolutions=[], dropout=0.0)))))


def vpd(texts=3, **options):
    """A small VPD with random weights and so many texts."""
    config = dict(dict(type='VPD', diffusion_cfg=diffusion_cfg(), class_embed_path='', unet_cfg=dict(use_attn=False)),
                  **options)
    model = fill(MODELS.build(config))
    model.load_state_dict(dict(class_embeddings=torch.randn(texts, TEXT_DIM)), strict=False)
    return model.eval()


# ---------------------------------------------------------------------------------------------------- the same network

def test_sizes_of_stable_diffusion():
    with torch.device('meta'):
        model = MODELS.build(read_config('vpd_sd_4xb8-25k_nyu-480x480').model.backbone)
    size = {name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()}
    last_layer = 2 * 320 + 320 * 4 * 9 + 4  # which turns features into noise
    assert size['unet'] == 859_520_964 - last_layer
    decoder = 49_490_179 + 20  # with the convolution before it
    assert size['encoder_vq'] == 83_653_863 - decoder
    assert model.out_channels == (320, 640, 1280, 1280) and model.out_strides == (8, 16, 32, 64)
    keys = set(model.state_dict())
    assert {'encoder_vq.encoder.down.1.block.0.nin_shortcut.weight', 'encoder_vq.encoder.mid.attn_1.proj_out.bias',
            'encoder_vq.quant_conv.weight', 'unet.unet.diffusion_model.time_embed.2.weight',
            'unet.unet.diffusion_model.input_blocks.3.0.op.weight',
            'unet.unet.diffusion_model.output_blocks.5.2.conv.weight',
            'unet.unet.diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_out.0.bias',
            'unet.unet.diffusion_model.output_blocks.11.1.transformer_blocks.0.ff.net.0.proj.weight',
            'text_adapter.fc.2.weight', 'gamma', 'class_embeddings'} < keys


def convolve(w, name, x, **options):
    return F.conv2d(x, w[f'{name}.weight'], w[f'{name}.bias'], **options)


def group(w, name, x, eps):
    return F.group_norm(x, 32, w[f'{name}.weight'], w[f'{name}.bias'], eps)


def project(w, name, x):
    return F.linear(x, w[f'{name}.weight'], w.get(f'{name}.bias'))


def attend(q, k, v, heads):
    out = [(a @ b.transpose(1, 2) / a.shape[-1]**0.5).softmax(-1) @ c
           for a, b, c in zip(q.chunk(heads, -1), k.chunk(heads, -1), v.chunk(heads, -1))]
    return torch.cat(out, -1)


def plain_res_block(w, name, x, step):
    out = convolve(w, f'{name}.in_layers.2', F.silu(group(w, f'{name}.in_layers.0', x, 1e-5)), padding=1)
    out = out + project(w, f'{name}.emb_layers.1', F.silu(step))[:, :, None, None]
    out = convolve(w, f'{name}.out_layers.3', F.silu(group(w, f'{name}.out_layers.0', out, 1e-5)), padding=1)
    return out + (convolve(w, f'{name}.skip_connection', x) if f'{name}.skip_connection.weight' in w else x)


def plain_transformer(w, name, x, context):
    tokens = convolve(w, f'{name}.proj_in', group(w, f'{name}.norm', x, 1e-6)).flatten(2).transpose(1, 2)
    block = f'{name}.transformer_blocks.0'
    for i, kind in ((1, 'attn1'), (2, 'attn2')):
        y = F.layer_norm(tokens, tokens.shape[-1:], w[f'{block}.norm{i}.weight'], w[f'{block}.norm{i}.bias'])
        source = y if i == 1 else context
        y = attend(*(project(w, f'{block}.{kind}.to_{p}', s) for p, s in zip('qkv', (y, source, source))), heads=2)
        tokens = tokens + project(w, f'{block}.{kind}.to_out.0', y)
    y = F.layer_norm(tokens, tokens.shape[-1:], w[f'{block}.norm3.weight'], w[f'{block}.norm3.bias'])
    y, gate = project(w, f'{block}.ff.net.0.proj', y).chunk(2, -1)
    tokens = tokens + project(w, f'{block}.ff.net.2', y * F.gelu(gate))
    return x + convolve(w, f'{name}.proj_out', tokens.transpose(1, 2).unflatten(2, x.shape[2:]))


def plain_unet(w, x, t, context):
    """The outputs of all blocks on the way up, whatever the names of the parts say that a block is made of."""
    frequency = torch.exp(-math.log(10000) * torch.arange(16) / 16)
    step = torch.cat([(t[:, None] * frequency).cos(), (t[:, None] * frequency).sin()], 1)
    step = project(w, 'time_embed.2', F.silu(project(w, 'time_embed.0', step)))

    def block(name, x):
        for i in range(3):
            part = f'{name}.{i}'
            if f'{part}.in_layers.0.weight' in w:
                x = plain_res_block(w, part, x, step)
            elif f'{part}.proj_in.weight' in w:
                x = plain_transformer(w, part, x, context)
            elif f'{part}.op.weight' in w:
                x = convolve(w, f'{part}.op', x, stride=2, padding=1)
            elif f'{part}.conv.weight' in w:
                x = convolve(w, f'{part}.conv', x.repeat_interleave(2, 2).repeat_interleave(2, 3), padding=1)
        return x

    skipped = [convolve(w, 'input_blocks.0.0', x, padding=1)]
    while any(key.startswith(f'input_blocks.{len(skipped)}.') for key in w):
        skipped.append(block(f'input_blocks.{len(skipped)}', skipped[-1]))
    x = block('middle_block', skipped[-1])
    outputs = []
    while skipped:
        x = block(f'output_blocks.{len(outputs)}', torch.cat([x, skipped.pop()], 1))
        outputs.append(x)
    return outputs


@torch.no_grad()
def test_denoising_network():
    unet = fill(UNetModel(**diffusion_cfg()['params']['unet_config']['params'])).eval()
    x, t, context = torch.randn(2, 4, 16, 8), torch.tensor([1, 40]), torch.randn(2, 3, TEXT_DIM)
    theirs = plain_unet(dict(unet.state_dict()), x, t, context)
    ours = unet(x, t, context)
    assert len(theirs) == 8
    assert [feature.shape[1:] for feature in ours] == [(64, 2, 1), (64, 4, 2), (32, 8, 4), (32, 16, 8)]
    for feature, i in zip(ours, (0, 2, 4, 7)):  # before each enlargement, and the last
        wanted = theirs[i]
        torch.testing.assert_close(feature, wanted, rtol=1e-3, atol=1e-4 * float(wanted.std()))


@torch.no_grad()
def test_encoder_of_images():
    autoencoder = fill(AutoencoderKL(**diffusion_cfg()['params']['first_stage_config']['params'])).eval()
    w = dict(autoencoder.encoder.state_dict())

    def block(name, x):
        out = convolve(w, f'{name}.conv1', F.silu(group(w, f'{name}.norm1', x, 1e-6)), padding=1)
        out = convolve(w, f'{name}.conv2', F.silu(group(w, f'{name}.norm2', out, 1e-6)), padding=1)
        return out + (convolve(w, f'{name}.nin_shortcut', x) if f'{name}.nin_shortcut.weight' in w else x)

    picture = image(32, 48)
    x = convolve(w, 'conv_in', picture, padding=1)
    for i in range(4):
        x = block(f'down.{i}.block.0', x)
        if i < 3:
            x = convolve(w, f'down.{i}.downsample.conv', F.pad(x, (0, 1, 0, 1)), stride=2)
    x = block('mid.block_1', x)
    q, k, v = (convolve(w, f'mid.attn_1.{p}', group(w, 'mid.attn_1.norm', x, 1e-6)).flatten(2).transpose(1, 2)
               for p in 'qkv')
    attended = attend(q, k, v, 1).transpose(1, 2).unflatten(2, x.shape[2:])
    x = block('mid.block_2', x + convolve(w, 'mid.attn_1.proj_out', attended))
    x = convolve(w, 'conv_out', F.silu(group(w, 'norm_out', x, 1e-6)), padding=1)
    mean = convolve(dict(autoencoder.quant_conv.state_dict(prefix='c.')), 'c', x)[:, :4]
    ours = autoencoder(picture)
    assert ours.shape == (1, 4, 4, 6)
    torch.testing.assert_close(ours, mean, rtol=1e-4, atol=1e-4)


# -------------------------------------------------------------------------------------------------- images and texts

@torch.no_grad()
def test_features_and_padding():
    model = vpd(pad_shape=(128, 64), pad_val=0.5)
    features = model(image(65, 50, 2))
    assert [tuple(f.shape) for f in features] == [(2, 32, 16, 8), (2, 32, 8, 4), (2, 64, 4, 2), (2, 64, 2, 1)]
    padded = torch.full((2, 3, 128, 64), 0.5)
    padded[:, :, :65, :50] = image(65, 50, 2)
    torch.testing.assert_close(features, model(padded))
    with pytest.raises(ValueError, match=r'multiples of 64, found 65 x 100 with pad_shape=\(128, 64\)'):
        model(image(65, 100))


@torch.no_grad()
def test_each_image_has_the_text_of_its_class_or_the_mean():
    model = vpd(class_embed_select=True)  # three texts, of which the last stands for the mean
    a, b = (model((image(64, 64, 2), torch.tensor(classes))) for classes in ([0, 1], [1, -1]))
    single = model((image(64, 64, 2)[1:], torch.tensor([1])))
    torch.testing.assert_close(a[0][1:], single[0], rtol=1e-4, atol=1e-4)
    assert (a[0][0] - b[0][0]).abs().max() > 1e-3
    torch.testing.assert_close(b[0][1:], model(image(64, 64, 2))[0][1:], rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match='of class 3, and there are vectors of texts for 2 classes'):
        model((image(64, 64, 2), torch.tensor([0, 3])))


@torch.no_grad()
def test_attention_to_the_texts_are_channels_more():
    options = dict(base_size=64, max_attn_size=8)
    plain, attentive = vpd(), vpd(unet_cfg=dict(use_attn=True, **options))
    attentive.load_state_dict(plain.state_dict())
    assert not hasattr(attentive, 'out_channels')
    for i, (ours, feature) in enumerate(zip(attentive(image(64, 64)), plain(image(64, 64)))):
        more = 0 if i == 3 else 3
        assert ours.shape[1] == feature.shape[1] + more
        torch.testing.assert_close(ours[:, :feature.shape[1]], feature)
        if more:
            shares = ours[:, -3:]
            torch.testing.assert_close(shares.sum(1), torch.ones_like(shares[:, 0]))
            assert shares.std() > 1e-3


@torch.no_grad()
def test_maps_that_are_too_large_have_no_attention():
    model = vpd(unet_cfg=dict(base_size=64))  # up to half the side of the latent
    assert [f.shape[1] for f in model(image(64, 64))] == [32, 32 + 3, 64 + 3, 64]
    with pytest.raises(ValueError, match="names .*up_crass.*choose among down_cross"):
        UNetWrapper(DiffusionWrapper(UNetModel(4, 32, context_dim=8)), attn_selector='up_cross+up_crass')


def test_attention_store():
    store = AttentionStore(base_size=8)
    small, large = torch.rand(1, 16, 3), torch.rand(1, 25, 3)
    assert store(small, True, 'up') is small and store(large, False, 'mid') is large
    kept = store.get_average_attention()
    assert [key for key, maps in kept.items() if maps] == ['up_cross']
    assert kept['up_cross'][0] is small
    store.between_steps()
    store(2 * small, True, 'up')
    store.between_steps()
    torch.testing.assert_close(store.attention_store['up_cross'], [3 * small])
    store.reset()
    assert store.get_average_attention() == store.get_empty_store() and store.attention_store == {}


def test_all_learns_but_the_encoder_of_images():
    again = vpd(diffusion_cfg=diffusion_cfg(use_checkpoint=True)).train()
    model = vpd().train()
    again.load_state_dict(model.state_dict())
    for network in (model, again):
        sum(feature.square().mean() for feature in network(image(64, 64))).backward()
    without = {key for key, p in model.named_parameters() if p.grad is None}
    assert without == {key for key in dict(model.named_parameters()) if key.startswith('encoder_vq.')}
    assert model.gamma.grad.abs().sum() > 0
    for ours, other in zip(model.parameters(), again.parameters()):
        torch.testing.assert_close(ours.grad, other.grad, rtol=1e-3, atol=1e-5)


# --------------------------------------------------------------------------------------------------------- the weights

def stable_diffusion(path):
    """A checkpoint as it is published: the whole autoencoder, a text encoder and tables of noise besides."""
    source = vpd()
    state = {key.replace('encoder_vq.', 'first_stage_model.').replace('unet.unet.', 'model.'): torch.randn_like(value)
             for key, value in source.state_dict().items() if key.startswith(('encoder_vq.', 'unet.'))}
    state.update({'first_stage_model.decoder.conv_in.weight': torch.ones(2), 'betas': torch.ones(3),
                  'cond_stage_model.transformer.text_model.embeddings.position_ids': torch.ones(1),
                  'model.diffusion_model.out.2.bias': torch.ones(4)})
    torch.save(dict(state_dict=state, global_step=3), path)
    return state


@pytest.mark.parametrize('wrap', [lambda texts: texts, lambda texts: dict(embeddings=texts)])
def test_published_files_are_loaded(tmp_path, wrap):
    state = stable_diffusion(tmp_path / 'sd.ckpt')
    texts = torch.randn(5, TEXT_DIM)
    torch.save(wrap(texts), tmp_path / 'texts.pth')
    model = MODELS.build(dict(
        type='VPD', diffusion_cfg=diffusion_cfg(str(tmp_path / 'sd.ckpt')), class_embed_select=True,
        class_embed_path=str(tmp_path / 'texts.pth'), unet_cfg=dict(use_attn=False)))
    with pytest.raises(RuntimeError, match='no vectors of texts yet: call init_weights'):
        model(image(64, 64))
    model.init_weights()
    ours = model.state_dict()
    for new, old in (('unet.unet.diffusion_model.middle_block.0.in_layers.2.weight',
                      'model.diffusion_model.middle_block.0.in_layers.2.weight'),
                     ('encoder_vq.quant_conv.bias', 'first_stage_model.quant_conv.bias')):
        torch.testing.assert_close(ours[new], state[old], rtol=0, atol=0)
    torch.testing.assert_close(ours['class_embeddings'], torch.cat([texts, texts.mean(0, keepdim=True)]))

    trained = MODELS.build(dict(type='VPD', diffusion_cfg=diffusion_cfg(), class_embed_path='nowhere',
                                class_embed_select=True, unet_cfg=dict(use_attn=False)))
    trained.load_state_dict(ours)  # brings its texts along
    torch.testing.assert_close(trained.class_embeddings, ours['class_embeddings'])


def test_what_is_not_at_hand_is_named_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv('MMSEG_OFFLINE', '1')
    monkeypatch.setenv('MMSEG_CACHE', str(tmp_path))
    model = MODELS.build(dict(type='VPD', diffusion_cfg=diffusion_cfg('https://example.com/a/sd.pth'),
                              class_embed_path='https://example.com/texts.pth'))
    with pytest.raises(CheckpointError) as error:
        model.init_weights()
    message = str(error.value)
    for words in ('the weights of Stable Diffusion v1: ', f'{tmp_path}/sd.pth', 'the vectors of the texts: ',
                  f'{tmp_path}/texts.pth', 'model.backbone.diffusion_cfg.checkpoint=FILE', 'package is needed'):
        assert words in message
    torch.save(torch.randn(2, TEXT_DIM), tmp_path / 'texts.pth')
    with pytest.raises(CheckpointError) as error:
        model.init_weights()
    assert 'vectors of the texts: ' not in str(error.value) and 'sd.pth' in str(error.value)


@pytest.mark.parametrize('content, words', [
    (torch.ones(2, 3), r'shape \(classes, 24\), found \(2, 3\)'), (dict(a=1, b=2), 'found dict'),
    (b'nonsense', 'cannot be read')])
def test_other_files_of_texts_are_refused(tmp_path, content, words):
    path = tmp_path / 'texts.pth'
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    model = MODELS.build(dict(type='VPD', diffusion_cfg=diffusion_cfg(), class_embed_path=str(path)))
    with pytest.raises(CheckpointError, match=words):
        model.init_weights()


def test_weights_of_another_diffusion_model_are_refused(tmp_path):
    state = stable_diffusion(tmp_path / 'sd.ckpt')
    del state['first_stage_model.quant_conv.bias']
    state['model.diffusion_model.time_embed.0.bias'] = torch.ones(3)
    torch.save(state, tmp_path / 'sd.ckpt')
    torch.save(torch.ones(2, TEXT_DIM), tmp_path / 'texts.pth')
    model = MODELS.build(dict(type='VPD', diffusion_cfg=diffusion_cfg(str(tmp_path / 'sd.ckpt')),
                              class_embed_path=str(tmp_path / 'texts.pth')))
    with pytest.raises(CheckpointError, match='lacks, or has in other shapes, 2 of the .*quant_conv.bias'):
        model.init_weights()


def test_another_kind_of_diffusion_model_is_refused():
    config = diffusion_cfg()
    config['params']['unet_config']['target'] = 'ldm.modules.OtherModel'
    with pytest.raises(ValueError, match="a UNetModel here: found target='ldm.modules.OtherModel'"):
        MODELS.build(dict(type='VPD', diffusion_cfg=config, class_embed_path=''))
    with pytest.raises(ValueError, match="knows no {'use_linear_in_transformer': True}"):
        MODELS.build(dict(type='VPD', diffusion_cfg=diffusion_cfg(use_linear_in_transformer=True), class_embed_path=''))
