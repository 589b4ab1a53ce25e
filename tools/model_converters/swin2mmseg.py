"""Convert a Swin Transformer of its authors (https://github.com/microsoft/Swin-Transformer).

    python tools/model_converters/swin2mmseg.py swin_tiny_patch4_window7_224.pth pretrain/swin_tiny.pth
    python tools/train.py configs/swin/swin-tiny-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512.py \\
        --cfg-options model.backbone.init_cfg.checkpoint=pretrain/swin_tiny.pth

The result holds the backbone alone; the norms of its features, which a classifier has not, start anew.
"""
import sys
from math import isqrt
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from mmseg.utils.weight_layout import MLP, Layout, count, shape_of, size_of  # noqa: E402


def target(weights):
    width, channels, side, _ = shape_of(weights, 'patch_embed.projection.weight', (96, 3, 4, 4))
    stages = range(count(weights, r'stages\.(\d+)\.', default=4))
    tables = [shape_of(weights, f'stages.{i}.blocks.0.attn.w_msa.relative_position_bias_table', (169, 3 * 2**i))
              for i in stages]
    tokens = shape_of(weights, 'absolute_pos_embed', (1, 56**2, width))[1]
    return dict(
        type='SwinTransformer', pretrain_img_size=side * isqrt(tokens), in_channels=channels, embed_dims=width,
        patch_size=side, window_size=(isqrt(tables[0][0]) + 1) // 2, num_heads=[heads for _, heads in tables],
        mlp_ratio=size_of(weights, 'stages.0.blocks.0.ffn.layers.0.0.weight', 4 * width) / width,
        depths=[count(weights, rf'stages\.{i}\.blocks\.(\d+)\.', default=2) for i in stages],
        strides=[side] + [2] * (len(stages) - 1), out_indices=list(stages),
        qkv_bias='stages.0.blocks.0.attn.w_msa.qkv.bias' in weights,
        patch_norm='patch_embed.norm.weight' in weights, use_abs_pos_embed='absolute_pos_embed' in weights)


def renames(weights):
    # timm counts the merging of patches to the stage after it, the authors to the one before.
    later = not any('layers.0.downsample.' in key for key in weights)
    return (
        (r'^backbone\.', ''),
        (r'^patch_embed\.proj\.', 'patch_embed.projection.'),
        *([(r'^layers\.(\d+)\.downsample', lambda match: f'layers.{int(match[1]) - 1}.downsample')] if later else []),
        (r'^layers\.', 'stages.'),
        (r'\.attn\.', '.attn.w_msa.'),
        *MLP,
    )


def channels_outside(x):
    """Reorder the last axis, (4 channels), to (channels 4): the four tokens that are merged into one.

    The authors go down the columns of the square, we along its rows.
    """
    return x.unflatten(-1, (4, -1))[..., [0, 2, 1, 3], :].transpose(-2, -1).flatten(-2)


def adapt(weights, shapes):
    from mmseg.utils.convert import with_new_norms
    weights = {key: channels_outside(x) if '.downsample.' in key else x for key, x in weights.items()}
    return with_new_norms(weights, shapes, r'norm\d+\.')


LAYOUT = Layout(
    origin="Swin's authors",
    target=target,
    renames=renames,
    adapt=adapt,
    left_out=(r'(head|norm)\.', r'(backbone\.)?layers\.\d+\.blocks\.\d+\.attn_mask$'),
    not_there=(r'.*\.relative_position_index$',),  # follows from the size of the window
)

if __name__ == '__main__':
    from mmseg.cli.convert import main
    sys.exit(main(__doc__, LAYOUT))
