"""How OpenAI publishes CLIP and how the authors of SAN publish their network, in terms of our own."""
from __future__ import annotations

import math
import re
from functools import partial

from mmseg.utils.weight_layout import Layout, Renames, Shapes, Weights, count, shape_of, size_of

_REC = 'decode_head.rec_with_attnbias.'
_SIDE = 'decode_head.side_adapter_network.'
_OF_IMAGES = r'^(image_encoder\.layers\.\d+)'
_OF_LISTS = r'^((?:decode_head\.rec_with_attnbias\.layers|text_encoder\.transformer)\.\d+)'
# Layers, last: our image encoder gives its parts names; the others, as mmcv does, lists of parts.
_LAYERS = (
    (rf'{_OF_IMAGES}\.ln_', r'\1.ln'),
    (rf'{_OF_IMAGES}\.attn\.', r'\1.attn.attn.'),
    (rf'{_OF_IMAGES}\.mlp\.c_fc\.', r'\1.ffn.layers.0.0.'),
    (rf'{_OF_IMAGES}\.mlp\.c_proj\.', r'\1.ffn.layers.1.'),
    (rf'{_OF_LISTS}\.ln_1\.', r'\1.norms.0.'),
    (rf'{_OF_LISTS}\.ln_2\.', r'\1.norms.1.'),
    (rf'{_OF_LISTS}\.attn\.', r'\1.attentions.0.attn.'),
    (rf'{_OF_LISTS}\.mlp\.c_fc\.', r'\1.ffns.0.layers.0.0.'),
    (rf'{_OF_LISTS}\.mlp\.c_proj\.', r'\1.ffns.0.layers.1.'))
_TEXT = r'(positional_embedding|text_projection|logit_scale|token_embedding|ln_final)'


def _stem(prefix: str) -> Renames:
    """The beginning of the image encoder."""
    return ((rf'^{prefix}class_embedding$', 'image_encoder.cls_token'),
            (rf'^{prefix}positional_embedding$', 'image_encoder.pos_embed'),
            (rf'^{prefix}conv1\.', 'image_encoder.patch_embed.projection.'),
            (rf'^{prefix}ln_pre\.', 'image_encoder.ln_pre.'))


def _of_clip(weights: Weights) -> Renames:
    """The last quarter of the layers of the image encoder belongs to the head."""
    first = count(weights, r'visual\.transformer\.resblocks\.(\d+)', default=0) * 3 // 4

    def place(match: re.Match) -> str:
        layer = int(match[1])
        return f'image_encoder.layers.{layer}.' if layer < first else f'{_REC}layers.{layer - first}.'

    return (*_stem(r'visual\.'),
            (r'^visual\.transformer\.resblocks\.(\d+)\.', place),
            (r'^visual\.ln_post\.', f'{_REC}ln_post.'),
            (r'^visual\.proj$', f'{_REC}proj.weight'),
            (rf'^{_TEXT}', r'text_encoder.\1'),
            (r'^transformer\.resblocks\.', 'text_encoder.transformer.'),
            *_LAYERS)


_OF_SAN = (
    *_stem(r'clip_visual_extractor\.'),
    (r'^clip_visual_extractor\.resblocks\.', 'image_encoder.layers.'),
    (r'^clip_rec_head\.resblocks\.', f'{_REC}layers.'),
    (r'^clip_rec_head\.proj$', f'{_REC}proj.weight'),
    (r'^clip_rec_head\.', _REC),
    (r'^ov_classifier\.transformer\.resblocks\.', 'text_encoder.transformer.'),
    (rf'^ov_classifier\.({_TEXT[1:-1]}|bg_embed)', r'text_encoder.\1'),
    *_LAYERS,
    (r'^side_adapter_network\.vit_model\.blocks\.(\d+)\.norm(\d)\.', rf'{_SIDE}encode_layers.\1.ln\2.'),
    (r'^side_adapter_network\.vit_model\.blocks\.(\d+)\.attn\.qkv\.', rf'{_SIDE}encode_layers.\1.attn.attn.in_proj_'),
    (r'^side_adapter_network\.vit_model\.blocks\.(\d+)\.attn\.proj\.', rf'{_SIDE}encode_layers.\1.attn.attn.out_proj.'),
    (r'^side_adapter_network\.vit_model\.blocks\.(\d+)\.mlp\.fc1\.', rf'{_SIDE}encode_layers.\1.ffn.layers.0.0.'),
    (r'^side_adapter_network\.vit_model\.blocks\.(\d+)\.mlp\.fc2\.', rf'{_SIDE}encode_layers.\1.ffn.layers.1.'),
    (r'^side_adapter_network\.vit_model\.patch_embed\.proj\.', f'{_SIDE}patch_embed.projection.'),
    (r'^side_adapter_network\.vit_model\.pos_embed$', f'{_SIDE}pos_embed'),
    (r'^side_adapter_network\.fusion_layers\.layer_(\d+)\.input_proj\.0\.', rf'{_SIDE}conv_clips.\1.0.'),
    (r'^side_adapter_network\.fusion_layers\.layer_(\d+)\.input_proj\.1\.', rf'{_SIDE}conv_clips.\1.1.conv.'),
    (r'^side_adapter_network\.(query_embed|query_pos_embed|mask_decoder\.)', rf'{_SIDE}\1'))


def _target(weights: Weights, whole: bool) -> dict:
    """A network of the shapes of these weights, be it not of their numbers of heads; `whole` where they are SAN's."""
    def size(key: str, default: int) -> int:
        return size_of(weights, key, default)

    def shape(key: str, *default: int) -> tuple[int, ...]:
        return shape_of(weights, key, default)

    def layers(part: str) -> int:
        return count(weights, rf'{re.escape(part)}\.(\d+)', default=1)

    image, text = size('image_encoder.ln_pre.weight', 64), size('text_encoder.ln_final.weight', 64)
    out, queries = shape(f'{_REC}proj.weight', image, text)[1], shape(f'{_SIDE}query_embed', 1, 100, 240)[1]
    patch = shape('image_encoder.patch_embed.projection.weight', image, 3, 16, 16)[3]
    side = math.isqrt(size('image_encoder.pos_embed', 197) - 1) * patch
    decoder = f'{_SIDE}mask_decoder.'
    embed = size(f'{decoder}pix_mlp.layers.2.bias', 256)
    return dict(
        type='MultimodalEncoderDecoder',
        asymetric_input=False,
        image_encoder=dict(
            type='VisionTransformer', img_size=(side, side), patch_size=patch, embed_dims=image, num_heads=1,
            num_layers=layers('image_encoder.layers'), pre_norm=True),
        text_encoder=dict(
            type='CLIPTextEncoder', embed_dims=text, num_heads=1, output_dims=out, cat_bg=whole,
            num_layers=layers('text_encoder.transformer'),
            total_vocab_size=size('text_encoder.token_embedding.weight', 49408),
            context_length=size('text_encoder.positional_embedding', 77)),
        decode_head=dict(
            type='SideAdapterCLIPHead', num_classes=171, deep_supervision_idxs=[], train_cfg=None,
            san_cfg=dict(
                in_channels=3, clip_channels=image, num_queries=queries,
                embed_dims=size(f'{_SIDE}patch_embed.projection.bias', 240),
                patch_size=shape(f'{_SIDE}patch_embed.projection.weight', 240, 3, 16, 16)[3],
                fusion_index=list(range(layers(f'{_SIDE}conv_clips'))),
                cfg_encoder=dict(num_encode_layer=layers(f'{_SIDE}encode_layers'), num_heads=1, mlp_ratio=4),
                cfg_decoder=dict(
                    num_heads=size(f'{decoder}attn_mlp.layers.2.bias', embed) // embed, num_layers=1, num_mlp=3,
                    embed_channels=embed, mlp_channels=size(f'{decoder}pix_mlp.layers.0.bias', 256),
                    rescale=f'{decoder}bias_scaling.bias' in weights)),
            maskgen_cfg=dict(sos_token_num=queries, embed_dims=image, num_heads=1, out_dims=out,
                             num_layers=layers(_REC + 'layers'))))


def _in_our_shapes(weights: Weights, shapes: Shapes) -> Weights:
    """Add the axis of the batch to what is learned for each token, turn the projection, and give up half precision."""
    adapted = {}
    for key, value in weights.items():
        if key == f'{_REC}proj.weight':
            value = value.T
        elif key in ('image_encoder.cls_token', 'image_encoder.pos_embed'):
            value = value.reshape((1,) * (3 - value.dim()) + tuple(value.shape))
        adapted[key] = value.float()
    return adapted


CLIP = Layout(
    origin="OpenAI's CLIP",
    target=partial(_target, whole=False),
    renames=_of_clip,
    left_out=('input_resolution$', 'context_length$', 'vocab_size$', r'.*attn_mask$'),
    not_there=(r'decode_head\.side_adapter_network\.',),
    adapt=_in_our_shapes)

SAN = Layout(
    origin="SAN's authors",
    target=partial(_target, whole=True),
    renames=_OF_SAN,
    left_out=('pixel_mean$', 'pixel_std$', r'criterion\.', r'ov_classifier\.attn_mask$'),
    adapt=_in_our_shapes)
