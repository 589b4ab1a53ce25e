"""Convert weights of CGNet as its authors publish them (https://github.com/wutianyiRosun/CGNet).

    python tools/model_converters/cgnet2mmseg.py cgnet_camvid_trainval_800e.pth checkpoints/cgnet_camvid.pth
    python tools/test.py configs/cgnet/cgnet_fcn_1xb8-60k_camvid-480x360.py checkpoints/cgnet_camvid.pth

Weights of any number of classes and blocks; those for Cityscapes belong to the configs of that data set.
"""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from mmseg.utils.weight_layout import Layout, count, size_of  # noqa: E402


def target(weights):
    return dict(
        type='EncoderDecoder',
        backbone=dict(type='CGNet', num_blocks=(count(weights, r'backbone\.level1\.(\d+)', default=3),
                                                count(weights, r'backbone\.level2\.(\d+)', default=21))),
        decode_head=dict(type='FCNHead', in_channels=256, in_index=2, channels=256, num_convs=0, concat_input=False,
                         num_classes=size_of(weights, 'decode_head.conv_seg.weight', default=19)))


def with_bias(weights, shapes):
    """Give the classifier, which has no bias, one of zeros."""
    from torch import zeros
    key = 'decode_head.conv_seg.bias'
    return {key: zeros(shapes[key]), **weights}


# The authors' stages are counted from 1 and their first blocks stand outside of the lists.
LAYOUT = Layout(
    origin="CGNet's authors",
    target=target,
    adapt=with_bias,
    renames=(
        (r'^classifier(\.\d+)?\.conv\.', 'decode_head.conv_seg.'),
        (r'^level1_', 'stem.'),
        (r'^level2_0', 'level1.0'),
        (r'^level2\.(\d+)', lambda match: f'level1.{int(match[1]) + 1}'),
        (r'^level3_0', 'level2.0'),
        (r'^level3\.(\d+)', lambda match: f'level2.{int(match[1]) + 1}'),
        (r'^b1\.', 'norm_prelu_0.'),
        (r'^bn_prelu_2\.', 'norm_prelu_1.'),
        (r'^bn_prelu_3\.', 'norm_prelu_2.'),
        (r'^(norm_prelu_\d)\.bn\.', r'\1.0.'),
        (r'^(norm_prelu_\d)\.act\.', r'\1.1.'),
        (r'\.bn_prelu\.', '.'),
        (r'\.act\.', '.activate.'),
        (r'\.F_(loc|sur)\.conv\.', r'.f_\1.'),
        (r'\.F_glo\.', '.f_glo.'),
        (r'\.reduce\.conv\.', '.bottleneck.'),
        (r'^(?!decode_head\.)', 'backbone.'),
    ))

if __name__ == '__main__':
    from mmseg.cli.convert import main
    sys.exit(main(__doc__, LAYOUT))
