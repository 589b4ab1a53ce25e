"""Convert torchvision's MobileNetV3, small or large: a classifier's weights, or those of LRASPP or DeepLabV3 upon it.

    python tools/model_converters/mobilenetv3_torchvision2mmseg.py mobilenet_v3_small-047dcff4.pth small.pth
    python tools/train.py configs/mobilenet_v3/mobilenet-v3-d8-scratch-s_lraspp_4xb4-320k_cityscapes-512x1024.py \\
        --cfg-options model.backbone.init_cfg.type=Pretrained model.backbone.init_cfg.checkpoint=small.pth

The result holds the backbone alone. Where an image has an even side, torchvision pads strided convolutions by another
pixel than we, who follow TensorFlow; fine-tuning makes up for that.
"""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from mmseg.utils.weight_layout import Layout, count  # noqa: E402


def target(weights):
    large = count(weights, r'layer(\d+)\.', default=13) > 13
    return dict(type='MobileNetV3', arch='large' if large else 'small', norm_cfg=dict(type='BN', eps=0.001))


# A block numbers its convolutions: the first is the expansion but in layer 1, which has none; the gate comes before the
# last and is known by its fc1 and fc2.
LAYOUT = Layout(
    origin="torchvision's MobileNetV3",
    target=target,
    left_out=(r'(model\.)?(aux_)?classifier\.',),
    renames=(
        (r'^(model\.)?(features|backbone)\.(\d+)', r'layer\3'),
        (r'\.block\.\d\.fc([12])', r'.se.conv\1.conv'),
        (r'^layer1\.block\.0', 'layer1.depthwise_conv'),
        (r'^layer1\.block\.[12]', 'layer1.linear_conv'),
        (r'\.block\.0', '.expand_conv'),
        (r'\.block\.1', '.depthwise_conv'),
        (r'\.block\.[23]', '.linear_conv'),
        (r'\.0\.weight$', '.conv.weight'),
        (r'\.1\.(\w+)$', r'.bn.\1'),
    ))

if __name__ == '__main__':
    from mmseg.cli.convert import main
    sys.exit(main(__doc__, LAYOUT))
