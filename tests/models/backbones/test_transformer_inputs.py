"""Sizes, windows and checkpoints that do not fit a transformer: the message says what is wrong and what would fit."""
import pytest
import torch

from mmseg.registry import MODELS
from tests.golden import fill, image

VIT = dict(type='VisionTransformer', img_size=64, patch_size=16, embed_dims=12, num_layers=1, num_heads=3)
BEIT = dict(type='BEiT', img_size=64, embed_dims=12, num_layers=1, num_heads=3)
MAE = dict(BEIT, type='MAE')
SWIN = dict(type='SwinTransformer', embed_dims=12, depths=(2, 2), num_heads=(3, 6), strides=(4, 2), out_indices=(0, 1),
            window_size=4)
PCPVT = dict(type='PCPVT', embed_dims=(8, 16), num_heads=(1, 2), patch_sizes=(4, 2), strides=(4, 2), mlp_ratios=(2, 2),
             depths=(1, 1), sr_ratios=(2, 1))
SVT = dict(PCPVT, type='SVT', windiow_sizes=(4, 4))
MIT = dict(type='MixVisionTransformer', embed_dims=8, num_stages=2, num_layers=(1, 1), num_heads=(1, 2),
           patch_sizes=(7, 3), strides=(4, 2), sr_ratios=(2, 1), out_indices=(0, 1))


@pytest.mark.parametrize('network, options, message', [
    (VIT, dict(img_size=8), r'at least patch_size=16 each, found \(8, 8\)'),
    (VIT, dict(num_heads=5), 'embed_dims=12 cannot be shared by num_heads=5: it is a multiple of 1, 2, 3, 4, 6'),
    (VIT, dict(out_indices=(0, 4)), r'out_indices \(0, 4\) must be below num_layers=1'),
    (BEIT, dict(img_size=(64, 50)), r'multiples of patch_size=16, found \(64, 50\)'),
    (MAE, dict(img_size=70), 'multiples of patch_size=16, found 70'),
    (BEIT, dict(num_heads=5), 'embed_dims=12 cannot be shared by num_heads=5'),
    (SWIN, dict(patch_size=8), 'must be patch_size=8, found 4'),
    (SWIN, dict(num_heads=(5, 6)), 'embed_dims=12 must be a multiple of num_heads=5'),
    (SWIN, dict(num_heads=(3, 6, 12)), r'for each stage: found \[2, 2\], \[3, 6, 12\]'),
    (PCPVT, dict(sr_ratios=(2,)), r'sr_ratios needs a number for each of 2 stages, .* \[1, 1\]: found \[2\]'),
    (SVT, dict(windiow_sizes=(4,)), r'windiow_sizes needs a number for each of 2 stages, .*: found \[4\]'),
    (SVT, dict(num_heads=(3, 2)), 'embed_dims=8 must be a multiple of num_heads=3'),
    (MIT, dict(num_layers=(1, 1, 1)), r'num_layers needs one number for each of num_stages=2, found \[1, 1, 1\]'),
])
def test_options(network, options, message):
    with torch.device('meta'), pytest.raises(ValueError, match=message):
        MODELS.build(dict(network, **options))


@pytest.mark.parametrize('network', [BEIT, MAE])
@pytest.mark.parametrize('size', [(64, 80), (32, 64)])
def test_images_of_another_size_than_the_positions(network, size):
    with pytest.raises(ValueError, match=rf'images of 64 x 64 pixels, found {size[0]} x {size[1]}: set test_cfg='):
        fill(MODELS.build(network))(image(*size))


POSITIONS = 'pos_embed'
TABLE = 'layers.0.attn.relative_position_bias_table'
SWIN_TABLE = 'stages.0.blocks.0.attn.w_msa.relative_position_bias_table'


@pytest.mark.parametrize('network, key, shape, message', [
    (VIT, POSITIONS, (1, 17, 16), 'it has 16 channels and the model 12; set embed_dims=16'),
    (VIT, POSITIONS, (1, 16, 12), 'its 16 tokens are a grid of 4 x 4 and 0 before it, where the model has 1'),
    (VIT, POSITIONS, (1, 198, 12), 'its 198 tokens are a grid of 14 x 14 and 2 before it, where the model has 1'),
    (VIT, POSITIONS, (1, 25, 12), '25 tokens are a grid of 5 x 5 and 0'),
    (VIT, POSITIONS, (1, 33, 12), 'of its 33 tokens, 1 stand before the grid, and what remains is no square; set img'),
    (VIT, POSITIONS, (17, 12), r'other axes than \(1, tokens, channels\)'),
    (MAE, POSITIONS, (1, 33, 12), 'what remains is no square'),
    (BEIT, TABLE, (52, 4), r'biases \(52, 4\) of the checkpoint cannot be resized to \(52, 3\): they need 3 heads'),
    (MAE, TABLE, (60, 3), 'positions of a square window and 3 of the class token'),
    (SWIN, SWIN_TABLE, (49, 4), r'\(49, 4\) of the checkpoint cannot be resized to \(49, 3\): they need 3 heads'),
    (SWIN, SWIN_TABLE, (35, 3), 'they need 3 heads and a square window'),
    (dict(SWIN, use_abs_pos_embed=True, pretrain_img_size=32), 'absolute_pos_embed', (1, 50, 12),
     'of its 50 tokens|its 50 tokens are a grid of 7 x 7 and 1 before it, where the model has 0'),
])
def test_checkpoints_whose_positions_cannot_be_resized(network, key, shape, message):
    model = MODELS.build(network)
    with pytest.raises(ValueError, match=message):
        model.load_state_dict({key: torch.zeros(shape)}, strict=False)


@pytest.mark.parametrize('network, key, shape', [
    (VIT, POSITIONS, (1, 197, 12)), (MAE, POSITIONS, (1, 197, 12)), (BEIT, TABLE, (732, 3)),
    (SWIN, SWIN_TABLE, (169, 3))])
def test_positions_of_the_usual_sizes_are_resized(network, key, shape):
    model = MODELS.build(network)
    model.load_state_dict({key: torch.full(shape, 0.25)}, strict=False)
    torch.testing.assert_close(model.state_dict()[key], torch.full_like(model.state_dict()[key], 0.25))


def test_a_head_for_other_widths_than_the_backbone_gives():
    for head in (dict(type='DPTHead', in_channels=(12, 12, 12, 16), in_index=(0, 0, 0, 0), channels=8, embed_dims=12,
                      post_process_channels=(4, 4, 4, 4), num_classes=3, input_transform='multiple_select'),
                 dict(type='SETRUPHead', in_channels=16, channels=8, in_index=0, num_classes=3),
                 dict(type='SegmenterMaskTransformerHead', in_channels=16, channels=12, embed_dims=12, num_layers=1,
                      num_heads=2, in_index=0, num_classes=3)):
        with torch.device('meta'), pytest.raises(ValueError, match=r'decode_head is made for .*16.* gets .*12'):
            MODELS.build(dict(type='EncoderDecoder', backbone=VIT, decode_head=head))
