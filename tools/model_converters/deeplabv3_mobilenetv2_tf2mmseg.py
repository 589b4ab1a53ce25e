"""Convert TensorFlow's mobile DeepLabV3: MobileNetV2 of stride 8 and image pooling, as deeplabv3_257_mv_gpu.tflite.

    python tools/model_converters/deeplabv3_mobilenetv2_tf2mmseg.py ops_float32.npz deeplabv3_mobilenetv2.pth
    python tools/test.py \\
        configs/mobilenet_v2/mobilenet-v2-x0.5-d8_deeplabv3-tf_4xb4-20k_voc12-257x257.py deeplabv3_mobilenetv2.pth

SRC holds the weights `N.w` and `N.b` of each operation N of the graph, its batch normalisations folded in.
"""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from mmseg.utils.weight_layout import Layout, size_of  # noqa: E402

BLOCKS = (2, 3, 4, 3, 3, 1)  # of the stages after the first


def operations():
    """Yield the number of each operation that has weights, and the name of its convolution."""
    yield 0, 'backbone.conv1.conv'
    yield 1, 'backbone.layer1.0.conv.0.conv'
    yield 2, 'backbone.layer1.0.conv.1.conv'
    number = 3
    for stage, blocks in enumerate(BLOCKS, 2):
        for block in range(blocks):
            for part in range(3):
                yield number + part, f'backbone.layer{stage}.{block}.conv.{part}.conv'
            number += 3 + (block > 0)  # the sum with the shortcut is an operation without weights
    yield number + 1, 'decode_head.image_pool.1.conv'
    yield number + 3, 'decode_head.aspp_modules.0.conv'
    yield number + 5, 'decode_head.bottleneck.conv'
    yield number + 6, 'decode_head.conv_seg'


def target(weights):
    return dict(
        type='EncoderDecoder',
        backbone=dict(type='MobileNetV2', norm_cfg=None,
                      widen_factor=size_of(weights, 'backbone.conv1.conv.weight', default=16) / 32),
        decode_head=dict(type='ASPPHead', in_index=3, dilations=(1,), channels=256,
                         in_channels=size_of(weights, 'backbone.layer7.0.conv.2.conv.weight', default=160),
                         num_classes=size_of(weights, 'decode_head.conv_seg.weight', default=21)))


def in_our_shapes(weights, shapes):
    """Order the axes as PyTorch does, and fill up with zeros where our layers are larger but do the same.

    TensorFlow rounds the second stage to 12 channels and we to 16; its last convolution is of 1x1 and ours of 3x3.
    """
    from mmseg.utils.convert import zero_padded
    adapted = {}
    for key, weight in weights.items():
        if weight.dim() == 4:  # (out, height, width, in), and for depthwise convolutions (1, height, width, out)
            weight = weight.permute(3, 0, 1, 2) if shapes[key][1] == 1 else weight.permute(0, 3, 1, 2)
        larger = key.startswith(('backbone.layer2.', 'backbone.layer3.0.', 'decode_head.bottleneck.'))
        adapted[key] = zero_padded(weight, shapes[key]) if larger else weight
    return adapted


LAYOUT = Layout(
    origin="TensorFlow's mobile DeepLabV3",
    target=target,
    adapt=in_our_shapes,
    renames=(
        *((rf'^{number}\.', f'{name}.') for number, name in operations()),
        (r'\.w$', '.weight'),
        (r'\.b$', '.bias'),
    ))

if __name__ == '__main__':
    from mmseg.cli.convert import main
    sys.exit(main(__doc__, LAYOUT))
