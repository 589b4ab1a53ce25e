"""ResNeSt: Split-Attention Networks, https://arxiv.org/abs/2004.08955."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from mmcv.cnn import build_conv_layer, build_norm_layer
from torch import nn

from mmseg.models.backbones import resnet, resnext
from mmseg.models.utils.res_layer import ResLayer
from mmseg.registry import MODELS

_BN = dict(type='BN')


class RSoftmax(nn.Module):
    """Softmax over the splits of each channel, or with a single split the sigmoid.

    Args:
        radix: number of splits.
        groups: number of cardinal groups, each of which the input lists with its splits.
    """

    def __init__(self, radix: int, groups: int):
        super().__init__()
        self.radix = radix
        self.groups = groups

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, groups radix C, 1, 1) -> (B, radix groups C)."""
        if self.radix == 1:
            return x.flatten(1).sigmoid()
        x = x.reshape(len(x), self.groups, self.radix, -1)
        return x.transpose(1, 2).softmax(1).flatten(1)


class SplitAttentionConv2d(nn.Module):
    """A convolution into several splits, and their sum, weighed channel by channel by what the whole map holds.

    Args:
        channels: of the output; the convolution gives `radix` times as many.
        radix: number of splits.
        reduction_factor: the hidden layer of the weights has `in_channels * radix / reduction_factor` channels, at
            least 32.
        dcn: config of a deformable convolution for this one; needs the full mmcv.
    """

    def __init__(self, in_channels: int, channels: int, kernel_size: int, stride: int = 1, padding: int = 0,
                 dilation: int = 1, groups: int = 1, radix: int = 2, reduction_factor: int = 4,
                 conv_cfg: dict | None = None, norm_cfg: dict = _BN, dcn: dict | None = None):
        super().__init__()
        hidden = max(in_channels * radix // reduction_factor, 32)
        self.radix = radix
        self.conv = build_conv_layer(
            resnet.deformable(dcn) or conv_cfg, in_channels, channels * radix, kernel_size, stride=stride,
            padding=padding, dilation=dilation, groups=groups * radix, bias=False)
        self.norm0_name, norm0 = build_norm_layer(norm_cfg, channels * radix, postfix=0)
        self.add_module(self.norm0_name, norm0)
        self.relu = nn.ReLU(inplace=True)
        self.fc1 = build_conv_layer(None, channels, hidden, 1, groups=groups)
        self.norm1_name, norm1 = build_norm_layer(norm_cfg, hidden, postfix=1)
        self.add_module(self.norm1_name, norm1)
        self.fc2 = build_conv_layer(None, hidden, channels * radix, 1, groups=groups)
        self.rsoftmax = RSoftmax(radix, groups)

    @property
    def norm0(self) -> nn.Module:
        return getattr(self, self.norm0_name)

    @property
    def norm1(self) -> nn.Module:
        return getattr(self, self.norm1_name)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, in_channels, H, W) -> (B, channels, H / stride, W / stride)."""
        x = self.relu(self.norm0(self.conv(x)))
        splits = x.unflatten(1, (self.radix, -1))  # B (radix C) H W -> B radix C H W
        means = F.adaptive_avg_pool2d(splits.sum(1), 1)
        weights = self.rsoftmax(self.fc2(self.relu(self.norm1(self.fc1(means)))))  # B (radix C)
        return (weights.view(*splits.shape[:3], 1, 1) * splits).sum(1)


class Bottleneck(resnext.Bottleneck):
    """A bottleneck whose 3x3 convolution is a split attention.

    Args:
        radix, reduction_factor: of the split attention.
        avg_down_stride: average over 3x3 windows in place of a stride of the convolution.
        groups, base_width, base_channels, kwargs: as for :class:`mmseg.models.backbones.resnext.Bottleneck`.
    """

    def __init__(self, inplanes: int, planes: int, groups: int = 1, base_width: int = 4, base_channels: int = 64,
                 radix: int = 2, reduction_factor: int = 4, avg_down_stride: bool = True, **kwargs):
        super().__init__(inplanes, planes, groups, base_width, base_channels, **kwargs)
        replaced = self.conv2
        stride = replaced.stride[0]
        self.avg_down_stride = avg_down_stride and stride > 1
        self.conv2 = SplitAttentionConv2d(
            replaced.in_channels, replaced.out_channels, 3, stride=1 if self.avg_down_stride else stride,
            padding=replaced.dilation, dilation=replaced.dilation, groups=groups, radix=radix,
            reduction_factor=reduction_factor, conv_cfg=kwargs.get('conv_cfg'), norm_cfg=kwargs.get('norm_cfg', _BN),
            dcn=kwargs.get('dcn'))
        delattr(self, self.norm2_name)  # the split attention has its own
        self.avd_layer = nn.AvgPool2d(3, stride, padding=1) if self.avg_down_stride else nn.Identity()

    def transform(self, x: torch.Tensor) -> torch.Tensor:
        """The residual function f."""
        x = self.relu(self.norm1(self.conv1(x)))
        x = self.forward_plugin(x, self.plugin_names['after_conv1'])
        x = self.avd_layer(self.conv2(x))
        x = self.forward_plugin(x, self.plugin_names['after_conv2'])
        x = self.norm3(self.conv3(x))
        return self.forward_plugin(x, self.plugin_names['after_conv3'])


@MODELS.register_module()
class ResNeSt(resnext.ResNeXt):
    """ResNeSt with 50, 101, 152 or 200 layers, on ResNet-D's stem and shortcuts.

    Args:
        groups, base_width: as for :class:`ResNeXt`; the paper's networks have one group.
        radix: number of splits.
        reduction_factor: of the hidden layer of the splits' weights.
        avg_down_stride: average over 3x3 windows in place of a stride of the 3x3 convolution.
        kwargs: as for :class:`ResNet`.
    """

    arch_settings = {depth: (Bottleneck, blocks) for depth, blocks in (
        (50, (3, 4, 6, 3)), (101, (3, 4, 23, 3)), (152, (3, 8, 36, 3)), (200, (3, 24, 36, 3)))}

    def __init__(self, groups: int = 1, base_width: int = 4, radix: int = 2, reduction_factor: int = 4,
                 avg_down_stride: bool = True, **kwargs):
        self.radix = radix
        self.reduction_factor = reduction_factor
        self.avg_down_stride = avg_down_stride
        super().__init__(groups, base_width, deep_stem=True, avg_down=True, **kwargs)

    def make_res_layer(self, **kwargs) -> ResLayer:
        """Build a stage of split-attention bottlenecks."""
        return super().make_res_layer(radix=self.radix, reduction_factor=self.reduction_factor,
                                      avg_down_stride=self.avg_down_stride, **kwargs)
