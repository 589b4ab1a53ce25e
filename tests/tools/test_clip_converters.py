"""CLIP and SAN under the names that their authors publish them by, made here in small, fill our network."""
import pytest
import torch

from mmseg.cli.convert import main
from mmseg.registry import MODELS
from mmseg.utils.checkpoint import CheckpointError, load_weights
from mmseg.utils.convert import convert
from mmseg.utils.layouts_clip import CLIP, SAN
from tests.golden import ROOT

IMAGE, TEXT, OUT, SIDE, QUERIES, HEADS, EMBED = 12, 8, 6, 10, 5, 3, 7
REC = 'decode_head.rec_with_attnbias.'


def layer(prefix, width):
    return {f'{prefix}.attn.in_proj_weight': (3 * width, width), f'{prefix}.attn.in_proj_bias': (3 * width,),
            **linear(f'{prefix}.attn.out_proj', width, width), **norm(f'{prefix}.ln_1', width),
            **norm(f'{prefix}.ln_2', width), **linear(f'{prefix}.mlp.c_fc', 4 * width, width),
            **linear(f'{prefix}.mlp.c_proj', width, 4 * width)}


def linear(name, out, source):
    return {f'{name}.weight': (out, source), f'{name}.bias': (out,)}


def convolution(name, out, source, side=1):
    return {f'{name}.weight': (out, source, side, side), f'{name}.bias': (out,)}


def norm(name, width):
    return {f'{name}.weight': (width,), f'{name}.bias': (width,)}


def layers(prefix, count, width):
    return {key: shape for i in range(count) for key, shape in layer(f'{prefix}.{i}', width).items()}


def image_stem(prefix):
    return {f'{prefix}class_embedding': (IMAGE,), f'{prefix}positional_embedding': (1 + 9, IMAGE),
            f'{prefix}conv1.weight': (IMAGE, 3, 4, 4), **norm(f'{prefix}ln_pre', IMAGE)}


def text(prefix):
    return {f'{prefix}positional_embedding': (11, TEXT), f'{prefix}text_projection': (TEXT, OUT),
            f'{prefix}logit_scale': (), f'{prefix}token_embedding.weight': (20, TEXT),
            **norm(f'{prefix}ln_final', TEXT), **layers(f'{prefix}transformer.resblocks', 2, TEXT)}


def drawn(shapes):
    return {key: torch.randn(shape) for key, shape in shapes.items()}


def clip(depth):
    return drawn({**image_stem('visual.'), **layers('visual.transformer.resblocks', depth, IMAGE),
                  **norm('visual.ln_post', IMAGE), 'visual.proj': (IMAGE, OUT), **text('')})


def san():
    vit = 'side_adapter_network.vit_model.'
    shapes = {
        **image_stem('clip_visual_extractor.'), **layers('clip_visual_extractor.resblocks', 3, IMAGE),
        **layers('clip_rec_head.resblocks', 1, IMAGE), **norm('clip_rec_head.ln_post', IMAGE),
        'clip_rec_head.proj': (IMAGE, OUT), **text('ov_classifier.'), 'ov_classifier.bg_embed': (1, OUT),
        f'{vit}pos_embed': (1, 1600, SIDE), **convolution(f'{vit}patch_embed.proj', SIDE, 3, 16),
        'side_adapter_network.query_embed': (1, QUERIES, SIDE),
        'side_adapter_network.query_pos_embed': (1, QUERIES, SIDE)}
    for i in range(4):
        block = f'{vit}blocks.{i}'
        shapes.update({
            **norm(f'{block}.norm1', SIDE), **norm(f'{block}.norm2', SIDE),
            **linear(f'{block}.attn.qkv', 3 * SIDE, SIDE), **linear(f'{block}.attn.proj', SIDE, SIDE),
            **linear(f'{block}.mlp.fc1', 4 * SIDE, SIDE), **linear(f'{block}.mlp.fc2', SIDE, 4 * SIDE)})
    for i in range(2):
        fusion = f'side_adapter_network.fusion_layers.layer_{i}.input_proj'
        shapes.update({**norm(f'{fusion}.0', IMAGE), **convolution(f'{fusion}.1', SIDE, IMAGE)})
    decoder = 'side_adapter_network.mask_decoder'
    widths = [(9, SIDE), (9, 9)]
    for i, (out, source) in enumerate([*widths, (EMBED, 9)]):
        shapes.update({**linear(f'{decoder}.query_mlp.layers.{i}', out, source),
                       **convolution(f'{decoder}.pix_mlp.layers.{i}', out, source)})
    for i, (out, source) in enumerate([*widths, (EMBED * HEADS, 9)]):
        shapes.update(convolution(f'{decoder}.attn_mlp.layers.{i}', out, source))
    shapes.update({**linear(f'{decoder}.bias_scaling', 1, 1), 'criterion.empty_weight': (172,)})
    return drawn(shapes)


def same(ours, theirs, pairs):
    for new, old in pairs.items():
        torch.testing.assert_close(ours[new], theirs[old].view(ours[new].shape), rtol=0, atol=0)


def parts_of_layers(ours_of_images, theirs_of_images, ours_of_head, theirs_of_head):
    return {
        f'{ours_of_images}.ln1.weight': f'{theirs_of_images}.ln_1.weight',
        f'{ours_of_images}.ln2.bias': f'{theirs_of_images}.ln_2.bias',
        f'{ours_of_images}.attn.attn.in_proj_weight': f'{theirs_of_images}.attn.in_proj_weight',
        f'{ours_of_images}.attn.attn.out_proj.bias': f'{theirs_of_images}.attn.out_proj.bias',
        f'{ours_of_images}.ffn.layers.0.0.weight': f'{theirs_of_images}.mlp.c_fc.weight',
        f'{ours_of_images}.ffn.layers.1.bias': f'{theirs_of_images}.mlp.c_proj.bias',
        f'{ours_of_head}.norms.0.bias': f'{theirs_of_head}.ln_1.bias',
        f'{ours_of_head}.norms.1.weight': f'{theirs_of_head}.ln_2.weight',
        f'{ours_of_head}.attentions.0.attn.in_proj_bias': f'{theirs_of_head}.attn.in_proj_bias',
        f'{ours_of_head}.attentions.0.attn.out_proj.weight': f'{theirs_of_head}.attn.out_proj.weight',
        f'{ours_of_head}.ffns.0.layers.0.0.bias': f'{theirs_of_head}.mlp.c_fc.bias',
        f'{ours_of_head}.ffns.0.layers.1.weight': f'{theirs_of_head}.mlp.c_proj.weight'}


@pytest.mark.parametrize('depth', [4, 8])
def test_clip(depth):
    theirs = clip(depth)
    half = {key: value.half() for key, value in theirs.items()}
    theirs = {key: value.float() for key, value in half.items()}
    extra = dict(input_resolution=torch.tensor(12), context_length=torch.tensor(11), vocab_size=torch.tensor(20))
    converted = convert({**half, **extra}, CLIP)
    ours, first = converted.weights, depth * 3 // 4
    assert len(ours) == len(theirs) and converted.left_out == list(extra)
    assert all(value.dtype == torch.float32 for value in ours.values())
    resblocks = 'visual.transformer.resblocks'
    same(ours, theirs, {
        'image_encoder.cls_token': 'visual.class_embedding', 'image_encoder.pos_embed': 'visual.positional_embedding',
        'image_encoder.patch_embed.projection.weight': 'visual.conv1.weight',
        'image_encoder.ln_pre.bias': 'visual.ln_pre.bias', f'{REC}ln_post.weight': 'visual.ln_post.weight',
        'text_encoder.positional_embedding': 'positional_embedding', 'text_encoder.logit_scale': 'logit_scale',
        'text_encoder.transformer.1.norms.0.weight': 'transformer.resblocks.1.ln_1.weight',
        'text_encoder.transformer.1.ffns.0.layers.0.0.weight': 'transformer.resblocks.1.mlp.c_fc.weight',
        'text_encoder.text_projection': 'text_projection', 'text_encoder.ln_final.bias': 'ln_final.bias',
        **parts_of_layers(f'image_encoder.layers.{first - 1}', f'{resblocks}.{first - 1}',
                          f'{REC}layers.{depth - first - 1}', f'{resblocks}.{depth - 1}')})
    assert f'image_encoder.layers.{first}.ln1.weight' not in ours and ours['image_encoder.cls_token'].dim() == 3
    torch.testing.assert_close(ours[f'{REC}proj.weight'], theirs['visual.proj'].T, rtol=0, atol=0)


def test_san(tmp_path, capsys):
    theirs = san()
    source, destination = tmp_path / 'theirs.pth', tmp_path / 'ours.pth'
    torch.save(dict(model=theirs), source)
    assert main('', SAN, [str(source), str(destination)]) == 0
    said = capsys.readouterr().out
    assert f"{len(theirs) - 1} weights of SAN's authors" in said and 'no place there: criterion.empty_weight' in said
    model = MODELS.build(convert(theirs, SAN).target)
    load_weights(model, destination, strict=True)
    ours = model.state_dict()
    vit, side = 'side_adapter_network.vit_model', 'decode_head.side_adapter_network'
    same(ours, theirs, {
        'text_encoder.bg_embed': 'ov_classifier.bg_embed', 'text_encoder.logit_scale': 'ov_classifier.logit_scale',
        'text_encoder.token_embedding.weight': 'ov_classifier.token_embedding.weight',
        f'{side}.pos_embed': f'{vit}.pos_embed', f'{side}.query_embed': 'side_adapter_network.query_embed',
        f'{side}.patch_embed.projection.bias': f'{vit}.patch_embed.proj.bias',
        f'{side}.encode_layers.3.ln2.weight': f'{vit}.blocks.3.norm2.weight',
        f'{side}.encode_layers.3.attn.attn.in_proj_weight': f'{vit}.blocks.3.attn.qkv.weight',
        f'{side}.encode_layers.3.attn.attn.out_proj.bias': f'{vit}.blocks.3.attn.proj.bias',
        f'{side}.encode_layers.0.ffn.layers.0.0.bias': f'{vit}.blocks.0.mlp.fc1.bias',
        f'{side}.encode_layers.0.ffn.layers.1.weight': f'{vit}.blocks.0.mlp.fc2.weight',
        f'{side}.conv_clips.1.0.bias': 'side_adapter_network.fusion_layers.layer_1.input_proj.0.bias',
        f'{side}.conv_clips.1.1.conv.weight': 'side_adapter_network.fusion_layers.layer_1.input_proj.1.weight',
        f'{side}.mask_decoder.attn_mlp.layers.2.bias': 'side_adapter_network.mask_decoder.attn_mlp.layers.2.bias',
        **parts_of_layers('image_encoder.layers.2', 'clip_visual_extractor.resblocks.2', f'{REC}layers.0',
                          'clip_rec_head.resblocks.0')})
    torch.testing.assert_close(ours[f'{REC}proj.weight'], theirs['clip_rec_head.proj'].T, rtol=0, atol=0)


@pytest.mark.parametrize('layout, weights', [(CLIP, clip(4)), (SAN, san())], ids=['clip', 'san'])
def test_other_files_are_refused(layout, weights):
    with pytest.raises(CheckpointError, match=r'1 of its weights are not known: visual\.attnpool\.k_proj\.weight'):
        convert({**weights, 'visual.attnpool.k_proj.weight': torch.ones(2, 2)}, layout)
    key = next(key for key in weights if key.endswith('ln_final.bias'))
    with pytest.raises(CheckpointError, match=r'1 are missing: text_encoder\.ln_final\.bias'):
        convert({name: value for name, value in weights.items() if name != key}, layout)


@torch.no_grad()
def test_published_sizes_fit_the_configs():
    """The shapes of the large CLIP, on no device, become those of the large SAN."""
    from tests.golden import model_config
    with torch.device('meta'):
        network = MODELS.build(model_config('san/san-vit-l14_coco-stuff164k-640x640'))
        shapes = {**image_stem('visual.'), **layers('visual.transformer.resblocks', 24, 1024),
                  **norm('visual.ln_pre', 1024), **norm('visual.ln_post', 1024), **norm('ln_final', 768),
                  **layers('transformer.resblocks', 12, 768), 'visual.class_embedding': (1024,),
                  'visual.positional_embedding': (577, 1024), 'visual.conv1.weight': (1024, 3, 14, 14),
                  'visual.proj': (1024, 768), 'text_projection': (768, 768), 'positional_embedding': (77, 768),
                  'token_embedding.weight': (49408, 768), 'logit_scale': ()}
        converted = convert({key: torch.empty(shape) for key, shape in shapes.items()}, CLIP)
    wanted = {key: value.shape for key, value in network.state_dict().items()
              if 'side_adapter_network' not in key and key != 'text_encoder.bg_embed'}
    assert {key: value.shape for key, value in converted.weights.items()} == wanted


@pytest.mark.parametrize('script', ['clip2mmseg', 'san2mmseg'])
def test_the_script_reads_a_published_file(tmp_path, capsys, script):
    import importlib.util
    spec = importlib.util.spec_from_file_location(script, ROOT / 'tools' / 'model_converters' / f'{script}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    torch.save(clip(4) if script == 'clip2mmseg' else san(), tmp_path / 'in.pth')
    assert main('', module.LAYOUT, [str(tmp_path / 'in.pth'), str(tmp_path / 'out.pth')]) == 0
    assert 'for MultimodalEncoderDecoder' in capsys.readouterr().out and (tmp_path / 'out.pth').is_file()
