"""Convert Twins of its authors, PCPVT or SVT (https://github.com/Meituan-AutoML/Twins).

    python tools/model_converters/twins2mmseg.py pcpvt_small.pth pretrain/pcpvt_small.pth
    python tools/train.py configs/twins/twins_pcpvt-s_uperhead_8xb4-160k_ade20k-512x512.py \\
        --cfg-options model.backbone.init_cfg.checkpoint=pretrain/pcpvt_small.pth

The result holds the backbone alone; the norms of SVT's features, which a classifier has not, start anew.
"""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from mmseg.utils.weight_layout import MLP, SPLIT_ATTENTION, Layout, count, shape_of, size_of  # noqa: E402


def has_windows(weights):
    """Whether some blocks attend within windows, which SVT alone does."""
    return any('.attn.qkv.' in key for key in weights)


def target(weights):
    windows = has_windows(weights)
    stages = range(count(weights, r'layers\.(\d+)\.', default=4))
    patches = [shape_of(weights, f'patch_embeds.{i}.projection.weight', (64, 3, 4, 4)) for i in stages]
    widths = [shape[0] for shape in patches]
    sides = [shape[2] for shape in patches]
    return dict(
        type='SVT' if windows else 'PCPVT', in_channels=patches[0][1], embed_dims=widths, patch_sizes=sides,
        strides=sides, num_heads=[1] * len(stages), out_indices=list(stages),
        mlp_ratios=[size_of(weights, f'layers.{i}.0.ffn.layers.0.0.weight', width) // width
                    for i, width in zip(stages, widths)],
        depths=[count(weights, rf'layers\.{i}\.(\d+)\.', default=2) for i in stages],
        sr_ratios=[shape_of(weights, f'layers.{i}.{int(windows)}.attn.sr.weight', (64, 64, 1, 1))[2] for i in stages],
        qkv_bias=any('.attn.in_proj_bias' in key for key in weights),
        norm_after_stage=windows or 'norm_list.0.weight' in weights, **(dict(windiow_sizes=sides) if windows else {}))


def renames(weights):
    whole_map = r'\d*[13579]' if has_windows(weights) else r'\d+'  # blocks whose attention is not within windows
    return (
        (r'^backbone\.', ''),
        (r'^patch_embeds\.(\d)\.proj\.', r'patch_embeds.\1.projection.'),
        (r'^pos_block\.(\d)\.proj\.0\.', r'position_encodings.\1.proj.'),
        (r'^blocks\.', 'layers.'),
        (rf'^layers\.(\d)\.({whole_map})\.attn\.proj\.', r'layers.\1.\2.attn.attn.out_proj.'),
        *SPLIT_ATTENTION,
        *MLP,
    )


def adapt(weights, shapes):
    from mmseg.utils.convert import with_new_norms
    return with_new_norms(weights, shapes, r'norm_list\.')


LAYOUT = Layout(
    origin="Twins' authors",
    target=target,
    renames=renames,
    adapt=adapt,
    left_out=(r'(head|norm)\.',),
)

if __name__ == '__main__':
    from mmseg.cli.convert import main
    sys.exit(main(__doc__, LAYOUT, kinds=('pcpvt', 'svt')))
