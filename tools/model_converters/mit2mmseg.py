"""Convert Mix Vision Transformers (MiT), the backbones of SegFormer, of their authors or of Hugging Face.

    python tools/model_converters/mit2mmseg.py mit_b0.pth pretrain/mit_b0.pth
    python tools/train.py configs/segformer/segformer_mit-b0_8xb2-160k_ade20k-512x512.py \\
        --cfg-options model.backbone.init_cfg.checkpoint=pretrain/mit_b0.pth

SRC may hold a classifier or a whole SegFormer (https://github.com/NVlabs/SegFormer, or pytorch_model.bin and
model.safetensors of nvidia/mit-b0 and nvidia/segformer-…). The result holds the backbone alone: the authors' decode
head has no norm and no activation before features meet, ours has both, as the published configs.
"""
import sys
from math import gcd
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from mmseg.utils.weight_layout import SPLIT_ATTENTION, Layout, count, shape_of, size_of  # noqa: E402


def target(weights):
    stages = range(count(weights, r'layers\.(\d+)\.', default=4))
    widths = [size_of(weights, f'layers.{i}.0.projection.weight', default=32) for i in stages]
    per_head = gcd(*widths)
    blocks = [f'layers.{i}.1.0' for i in stages]
    return dict(
        type='MixVisionTransformer', embed_dims=per_head, num_stages=len(stages),
        in_channels=shape_of(weights, 'layers.0.0.projection.weight', (32, 3, 7, 7))[1],
        num_heads=[width // per_head for width in widths],
        num_layers=[count(weights, rf'layers\.{i}\.1\.(\d+)\.', default=2) for i in stages],
        patch_sizes=[shape_of(weights, f'layers.{i}.0.projection.weight', (32, 3, 3, 3))[2] for i in stages],
        strides=[4] + [2] * (len(stages) - 1), out_indices=list(stages),
        sr_ratios=[shape_of(weights, f'{block}.attn.sr.weight', (32, 32, 1, 1))[2] for block in blocks],
        mlp_ratio=size_of(weights, f'{blocks[0]}.ffn.layers.0.weight', 4 * widths[0]) // widths[0],
        qkv_bias=f'{blocks[0]}.attn.attn.in_proj_bias' in weights)


def as_convolutions(weights, shapes):
    """Write the linear maps of the feed-forward layers as convolutions of 1x1."""
    return {key: x[:, :, None, None] if x.dim() == 2 and len(shapes[key]) == 4 else x for key, x in weights.items()}


def stage(suffix):
    """What the authors count from 1 stands in our stages, counted from 0."""
    return lambda match: f'layers.{int(match[1]) - 1}.{suffix}.'


LAYOUT = Layout(
    origin="MiT's authors or Hugging Face",
    target=target,
    adapt=as_convolutions,
    left_out=(r'(module\.)?(head|classifier|decode_head|auxiliary_head)\.',),
    renames=(
        (r'^segformer\.', ''),
        (r'^(backbone|encoder)\.', ''),
        # the authors
        (r'^patch_embed(\d)\.', stage('0')),
        (r'^block(\d)\.', stage('1')),
        (r'^norm(\d)\.', stage('2')),
        *SPLIT_ATTENTION,
        (r'\.attn\.proj\.', '.attn.attn.out_proj.'),
        # Hugging Face
        (r'^patch_embeddings\.(\d)\.layer_norm\.', r'layers.\1.0.norm.'),
        (r'^patch_embeddings\.(\d)\.', r'layers.\1.0.'),
        (r'^block\.(\d)\.', r'layers.\1.1.'),
        (r'^layer_norm\.(\d)\.', r'layers.\1.2.'),
        (r'\.layer_norm_([12])\.', r'.norm\1.'),
        *((rf'\.attention\.self\.{name}\.(\w+)$', rf'.attn.attn.in_proj_\1#{i}')
          for i, name in enumerate(('query', 'key', 'value'))),
        (r'\.attention\.self\.layer_norm\.', '.attn.norm.'),
        (r'\.attention\.self\.', '.attn.'),
        (r'\.attention\.output\.dense\.', '.attn.attn.out_proj.'),
        # both
        (r'\.0\.proj\.', '.0.projection.'),
        (r'\.mlp\.(fc|dense)1\.', '.ffn.layers.0.'),
        (r'\.mlp\.dwconv\.dwconv\.', '.ffn.layers.1.'),
        (r'\.mlp\.(fc|dense)2\.', '.ffn.layers.4.'),
    ))

if __name__ == '__main__':
    from mmseg.cli.convert import main
    sys.exit(main(__doc__, LAYOUT))
