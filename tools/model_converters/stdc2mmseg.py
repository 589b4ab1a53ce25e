"""Convert STDC1 or STDC2 of its authors (https://github.com/MichaelFan01/STDC-Seg).

    python tools/model_converters/stdc2mmseg.py STDCNet813M_73.91.tar pretrain/stdc1.pth
    python tools/train.py configs/stdc/stdc1_in1k-pre_4xb12-80k_cityscapes-512x1024.py \\
        --cfg-options model.backbone.backbone_cfg.init_cfg.checkpoint=pretrain/stdc1.pth

SRC may hold a classifier or a whole segmentation network; the result holds the STDCNet alone.
"""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from mmseg.utils.weight_layout import Layout, count, size_of  # noqa: E402

FEATURE = r'(?:cp\.)?(?:backbone\.)?features\.(\d+)\.'
MODULES = {8: (2, 2, 2), 14: (4, 5, 3)}  # of each stage after the stem's two convolutions, by the number of all


def target(weights):
    convolutions = [size_of(weights, f'stages.{i}.conv.weight', default=32 * 2**i) for i in range(2)]
    halves = [size_of(weights, f'stages.{i}.0.layers.0.conv.weight', default=32 * 2**i) for i in (2, 3, 4)]
    return dict(
        type='STDCNet', stdc_type='STDCNet2' if 'stages.2.2.layers.0.conv.weight' in weights else 'STDCNet1',
        in_channels=3, channels=[*convolutions, *(2 * half for half in halves)],
        num_convs=count(weights, r'stages\.2\.0\.layers\.(\d+)\.', default=4),
        bottleneck_type='add' if any('.skip.' in key for key in weights) else 'cat', norm_cfg=dict(type='BN'),
        act_cfg=dict(type='ReLU'))


def renames(weights):
    modules = MODULES.get(count(weights, FEATURE, default=8), ())
    places = ['0', '1', *(f'{stage}.{i}' for stage, number in enumerate(modules, 2) for i in range(number))]
    return (
        *((FEATURE.replace(r'(\d+)', str(i)), f'stages.{place}.') for i, place in enumerate(places)),
        (r'\.conv_list\.', '.layers.'),
        (r'\.avd_layer\.0\.', '.downsample.conv.'),
        (r'\.avd_layer\.1\.', '.downsample.bn.'),
        *((rf'\.skip\.{i}\.', f'.skip.{i // 2}.{"bn" if i % 2 else "conv"}.') for i in (0, 1, 2, 3)),
    )


LAYOUT = Layout(
    origin="STDC's authors",
    target=target,
    renames=renames,
    left_out=(
        r'(cp\.)?(backbone\.)?(x2|x4|x8|x16|x32)\.',  # the features once more, by stride
        r'(cp\.)?(backbone\.)?(conv_last|fc|bn|linear)\.',
        r'cp\.(arm16|arm32|conv_head16|conv_head32|conv_avg)\.', r'(ffm|conv_out\w*)\.'))

if __name__ == '__main__':
    from mmseg.cli.convert import main
    sys.exit(main(__doc__, LAYOUT, kinds=('STDC1', 'STDC2')))
